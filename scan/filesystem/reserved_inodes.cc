#include "scan/filesystem/reserved_inodes.h"

#include <algorithm>

namespace extscrub {

bool is_named_journal(const FileSystem& fs, InodeNo ino) {
  return fs.geometry.has_compat(EXT3_FEATURE_COMPAT_HAS_JOURNAL) && fs.super.s_journal_inum == ino.value;
}

bool is_named_quota_file(const FileSystem& fs, InodeNo ino) {
  const ext2_super_block& s = fs.super;
  return fs.geometry.has_ro_compat(EXT4_FEATURE_RO_COMPAT_QUOTA) &&
         (s.s_usr_quota_inum == ino.value || s.s_grp_quota_inum == ino.value);
}

bool is_resize_inode(const FileSystem& fs, InodeNo ino) {
  return fs.geometry.has_compat(EXT2_FEATURE_COMPAT_RESIZE_INODE) && ino.value == EXT2_RESIZE_INO;
}

bool is_left_unnamed(const FileSystem& fs, const Inode& inode) {
  const InodeNo ino = inode.number();
  const bool quota = ino.value == EXT4_USR_QUOTA_INO || ino.value == EXT4_GRP_QUOTA_INO;
  if (!quota && ino.value != EXT2_JOURNAL_INO) return false;
  const bool named = quota ? is_named_quota_file(fs, ino) : is_named_journal(fs, ino);
  const ext2_inode& base = inode.base();
  return !named && base.i_links_count == 0 && base.i_blocks == 0 && base.i_block[0] == 0;
}

bool is_named(const FileSystem& fs, InodeNo ino) {
  return !is_reserved(fs.geometry, ino) || ino.value == EXT2_ROOT_INO || ino.value == EXT2_BAD_INO || is_resize_inode(fs, ino) ||
         is_named_journal(fs, ino) || is_named_quota_file(fs, ino);
}

bool has_foreign_bytes(const Inode& inode) { return inode.base().i_faddr != 0 && inode.base().osd2.linux2.l_i_reserved != 0; }

namespace {

// A device has its number in the first two words of i_block, and no contents.
bool is_odd_device(const Inode& inode) {
  const FileType type = inode.type();
  const bool device =
      type == FileType::character || type == FileType::block || type == FileType::fifo || type == FileType::socket;
  const Bytes behind = inode.block_area().subspan(2 * sizeof(uint32_t));
  return device && (inode.size() != 0 || std::ranges::any_of(behind, [](std::byte b) { return b != std::byte{0}; }));
}

}  // namespace

bool may_be_inode(const Geometry& g, const Inode& inode) {
  const ext2_inode& base = inode.base();
  if (inode.type() == FileType::unknown || (inode.type() == FileType::none && base.i_mode != 0) || has_foreign_bytes(inode))
    return false;
  if (inode.uses_extents() && inode.has_block_map() && load<uint16_t>(inode.block_area()) != EXT3_EXT_MAGIC) return false;
  constexpr uint32_t kUnknownFlags = 0x0800'0000 | 0x0100'0000 | 0x8000'0000;
  if (base.i_flags & kUnknownFlags) return false;
  if (base.i_faddr != 0 || is_odd_device(inode)) return false;
  if (g.inode_size == EXT2_GOOD_OLD_INODE_SIZE) return true;
  const uint16_t extra = inode.large().i_extra_isize;
  return extra % 4 == 0 && extra <= g.inode_size - EXT2_GOOD_OLD_INODE_SIZE;
}

bool holds_more_than_inode(const Geometry& g, const Inode& inode) {
  if (g.inode_size == EXT2_GOOD_OLD_INODE_SIZE) return false;
  const size_t end = EXT2_GOOD_OLD_INODE_SIZE + inode.large().i_extra_isize;
  if (end + sizeof(uint32_t) > g.inode_size || load<uint32_t>(inode.raw(), end) == EXT2_EXT_ATTR_MAGIC) return false;
  return std::ranges::any_of(inode.raw().subspan(end), [](std::byte b) { return b != std::byte{0}; });
}

}  // namespace extscrub
