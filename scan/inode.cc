#include "scan/inode.h"

#include <sys/stat.h>

#include <algorithm>
#include <string_view>

namespace extscrub {

namespace {

bool all_zero(Bytes bytes) {
  return std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace

FileType file_type(uint16_t mode) {
  switch (mode & S_IFMT) {
    case 0: return FileType::none;
    case S_IFIFO: return FileType::fifo;
    case S_IFCHR: return FileType::character;
    case S_IFDIR: return FileType::directory;
    case S_IFBLK: return FileType::block;
    case S_IFREG: return FileType::regular;
    case S_IFLNK: return FileType::symlink;
    case S_IFSOCK: return FileType::socket;
    default: return FileType::unknown;
  }
}

std::string_view name(FileType type) {
  switch (type) {
    case FileType::none: return "none";
    case FileType::fifo: return "pipe";
    case FileType::character: return "character device";
    case FileType::directory: return "directory";
    case FileType::block: return "block device";
    case FileType::regular: return "regular file";
    case FileType::symlink: return "symbolic link";
    case FileType::socket: return "socket";
    case FileType::unknown: return "unknown";
  }
  return "";
}

FileType Inode::type() const { return file_type(base().i_mode); }

uint64_t Inode::size() const {
  // Directories kept an ACL in the upper half in ext2; with large_dir their size has 64 bits as well.
  const bool wide = type() != FileType::directory || geometry_->has_incompat(EXT4_FEATURE_INCOMPAT_LARGEDIR);
  return (wide ? uint64_t{base().i_size_high} << 32 : 0) | base().i_size;
}

bool Inode::counts_in_blocks() const {
  return geometry_->has_ro_compat(EXT4_FEATURE_RO_COMPAT_HUGE_FILE) && is(EXT4_HUGE_FILE_FL);
}

uint64_t Inode::blocks512() const {
  uint64_t blocks = base().i_blocks;
  if (geometry_->has_ro_compat(EXT4_FEATURE_RO_COMPAT_HUGE_FILE)) blocks |= uint64_t{base().osd2.linux2.l_i_blocks_hi} << 32;
  return blocks;
}

BlockNo Inode::ea_block() const {
  uint64_t block = base().i_file_acl;
  if (geometry_->has_incompat(EXT4_FEATURE_INCOMPAT_64BIT)) block |= uint64_t{base().osd2.linux2.l_i_file_acl_high} << 32;
  return BlockNo(block);
}

bool Inode::is_fast_symlink() const {
  return type() == FileType::symlink && !is(EXT4_INLINE_DATA_FL) && !is(EXT4_EXTENTS_FL) && size() > 0 &&
         size() < sizeof base().i_block;
}

bool Inode::has_block_map() const {
  switch (type()) {
    case FileType::fifo:
    case FileType::character:
    case FileType::block:
    case FileType::socket: return false;
    default: return !is(EXT4_INLINE_DATA_FL) && !is_fast_symlink();
  }
}

bool Inode::block_area_is_blank() const { return all_zero(block_area()); }

bool Inode::is_blank() const { return all_zero(raw_); }

}  // namespace extscrub
