// One inode as stored, with the questions that the format answers with more than one field.
// A view of somebody else's bytes; any thread.
#pragma once

#include <array>

#include "scan/format/geometry.h"
#include "scan/format/ondisk.h"

namespace extscrub {

enum class FileType : uint8_t { none, fifo, character, directory, block, regular, symlink, socket, unknown };

class Inode {
 public:
  // `raw`: inode_size bytes, aligned to 4; they must outlive the view.
  Inode(const Geometry& geometry, InodeNo ino, Bytes raw) : geometry_(&geometry), ino_(ino), raw_(raw) {}

  [[nodiscard]] InodeNo number() const { return ino_; }
  [[nodiscard]] Bytes raw() const { return raw_; }
  // The first 128 bytes, which every inode has.
  [[nodiscard]] const ext2_inode& base() const { return *reinterpret_cast<const ext2_inode*>(raw_.data()); }
  // The larger form; its fields behind the base may be read only as far as has_extra() says.
  [[nodiscard]] const ext2_inode_large& large() const { return *reinterpret_cast<const ext2_inode_large*>(raw_.data()); }
  // The inode is large enough, and i_extra_isize says, that its bytes up to `end` (from its begin) are fields.
  [[nodiscard]] bool has_extra(size_t end) const {
    return geometry_->inode_size >= end && geometry_->inode_size > EXT2_GOOD_OLD_INODE_SIZE &&
           EXT2_GOOD_OLD_INODE_SIZE + size_t{large().i_extra_isize} >= end;
  }

  [[nodiscard]] FileType type() const;  // this and the next ones are below: every inode is asked them many times
  [[nodiscard]] bool is(uint32_t flag) const { return base().i_flags & flag; }
  [[nodiscard]] uint64_t size() const;       // bytes
  [[nodiscard]] uint64_t blocks512() const;  // i_blocks in its own unit: 512 bytes, or blocks with EXT4_HUGE_FILE_FL
  [[nodiscard]] bool counts_in_blocks() const;
  [[nodiscard]] BlockNo ea_block() const;    // i_file_acl; 0 when there is none
  [[nodiscard]] Bytes block_area() const { return raw_.subspan(offsetof(ext2_inode, i_block), sizeof base().i_block); }
  // i_block is all zero.
  [[nodiscard]] bool block_area_is_blank() const;
  // The target is stored in i_block.
  [[nodiscard]] bool is_fast_symlink() const;
  // i_block is a block map or an extent tree (and not a device number, a symlink's target or inline data).
  [[nodiscard]] bool has_block_map() const;
  [[nodiscard]] bool uses_extents() const { return geometry_->extents() && is(EXT4_EXTENTS_FL); }
  // Every byte is zero: never used.
  [[nodiscard]] bool is_blank() const;

 private:
  const Geometry* geometry_;
  InodeNo ino_;
  Bytes raw_;
};

[[nodiscard]] std::string_view name(FileType type);

// By the upper four bits of i_mode. Not a local of file_type(): there the stack protector would guard a copy of it in every
// call.
inline constexpr std::array kFileTypes = {FileType::none,      FileType::fifo,    FileType::character, FileType::unknown,
                                          FileType::directory, FileType::unknown, FileType::block,     FileType::unknown,
                                          FileType::regular,   FileType::unknown, FileType::symlink,   FileType::unknown,
                                          FileType::socket,    FileType::unknown, FileType::unknown,   FileType::unknown};

[[nodiscard]] constexpr FileType file_type(uint16_t mode) { return kFileTypes[mode >> 12]; }

inline FileType Inode::type() const { return file_type(base().i_mode); }

inline uint64_t Inode::size() const {
  // Directories kept an ACL in the upper half in ext2; with large_dir their size has 64 bits as well.
  const bool wide = type() != FileType::directory || geometry_->has_incompat(EXT4_FEATURE_INCOMPAT_LARGEDIR);
  return (wide ? uint64_t{base().i_size_high} << 32 : 0) | base().i_size;
}

inline bool Inode::counts_in_blocks() const {
  return geometry_->has_ro_compat(EXT4_FEATURE_RO_COMPAT_HUGE_FILE) && is(EXT4_HUGE_FILE_FL);
}

inline uint64_t Inode::blocks512() const {
  uint64_t blocks = base().i_blocks;
  if (geometry_->has_ro_compat(EXT4_FEATURE_RO_COMPAT_HUGE_FILE)) blocks |= uint64_t{base().osd2.linux2.l_i_blocks_hi} << 32;
  return blocks;
}

inline BlockNo Inode::ea_block() const {
  uint64_t block = base().i_file_acl;
  if (geometry_->has_incompat(EXT4_FEATURE_INCOMPAT_64BIT)) block |= uint64_t{base().osd2.linux2.l_i_file_acl_high} << 32;
  return BlockNo(block);
}

inline bool Inode::is_fast_symlink() const {
  return type() == FileType::symlink && !is(EXT4_INLINE_DATA_FL) && !is(EXT4_EXTENTS_FL) && size() > 0 &&
         size() < sizeof base().i_block;
}

inline bool Inode::has_block_map() const {
  switch (type()) {
    case FileType::fifo:
    case FileType::character:
    case FileType::block:
    case FileType::socket: return false;
    default: return !is(EXT4_INLINE_DATA_FL) && !is_fast_symlink();
  }
}

}  // namespace extscrub
