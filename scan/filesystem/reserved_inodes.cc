#include "scan/filesystem/reserved_inodes.h"

namespace extscrub {

bool is_named_journal(const FileSystem& fs, InodeNo ino) {
  return fs.geometry.has_compat(EXT3_FEATURE_COMPAT_HAS_JOURNAL) && fs.super.s_journal_inum == ino.value;
}

bool is_named_quota_file(const FileSystem& fs, InodeNo ino) {
  const ext2_super_block& s = fs.super;
  return fs.geometry.has_ro_compat(EXT4_FEATURE_RO_COMPAT_QUOTA) && (s.s_usr_quota_inum == ino.value || s.s_grp_quota_inum == ino.value);
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

}  // namespace extscrub
