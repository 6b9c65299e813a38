#include "scan/quota/quota_usage.h"

#include "scan/map/symlink.h"

namespace extscrub {

namespace {

uint32_t owner_id(const Inode& inode, QuotaType type) {
  const ext2_inode& base = inode.base();
  switch (type) {
    case QuotaType::user: return base.i_uid | uint32_t{base.osd2.linux2.l_i_uid_high} << 16;
    case QuotaType::group: return base.i_gid | uint32_t{base.osd2.linux2.l_i_gid_high} << 16;
    case QuotaType::project: break;
  }
  return inode.has_extra(offsetof(ext2_inode_large, i_projid) + sizeof(uint32_t)) ? inode.large().i_projid : 0;
}

}  // namespace

std::string_view name(QuotaType type) {
  static constexpr std::string_view kNames[] = {"user", "group", "project"};
  return kNames[static_cast<size_t>(type)];
}

InodeNo quota_inode(const FileSystem& fs, QuotaType type) {
  if (!fs.geometry.has_ro_compat(EXT4_FEATURE_RO_COMPAT_QUOTA)) return {};
  const ext2_super_block& s = fs.super;
  const std::array<uint32_t, 3> inodes{s.s_usr_quota_inum, s.s_grp_quota_inum, s.s_prj_quota_inum};
  return InodeNo(inodes[static_cast<size_t>(type)]);
}

const char* quota_field(QuotaType type) {
  static constexpr const char* kFields[] = {"s_usr_quota_inum", "s_grp_quota_inum", "s_prj_quota_inum"};
  return kFields[static_cast<size_t>(type)];
}

InodeNo reserved_quota_inode(QuotaType type) {
  if (type == QuotaType::user) return InodeNo(EXT4_USR_QUOTA_INO);
  return type == QuotaType::group ? InodeNo(EXT4_GRP_QUOTA_INO) : InodeNo();
}

QuotaUsage::QuotaUsage(const FileSystem& fs) : fs_(&fs) {
  for (const QuotaType type : kQuotaTypes) wanted_ |= kept_[static_cast<size_t>(type)] = quota_inode(fs, type).value != 0;
}

void QuotaUsage::add(const Inode& inode, uint64_t space, uint64_t ea_inodes) {
  const InodeNo ino = inode.number();
  if (ino.value < fs_->geometry.first_inode && ino.value != EXT2_ROOT_INO) return;
  // Large attribute values are charged to the inodes that have them.
  if (inode.base().i_links_count == 0 || inode.is(EXT4_EA_INODE_FL)) return;
  for (const QuotaType type : kQuotaTypes)
    if (quota_inode(*fs_, type) == ino) return;
  if (fs_->geometry.has_compat(EXT4_FEATURE_COMPAT_ORPHAN_FILE) && ino.value == fs_->super.s_orphan_file_inum) return;
  for (const QuotaType type : kQuotaTypes) {
    if (!kept_[static_cast<size_t>(type)]) continue;
    const uint32_t id = owner_id(inode, type);
    const Usage usage{space, 1 + ea_inodes};
    usage_[static_cast<size_t>(type)][id] += usage;
    if (is_inline_symlink(inode)) inline_symlinks_[static_cast<size_t>(type)][id] += usage;
  }
}

void QuotaUsage::add(const QuotaUsage& other) {
  for (size_t type = 0; type < usage_.size(); ++type) {
    for (const auto& [id, u] : other.usage_[type]) usage_[type][id] += u;
    for (const auto& [id, u] : other.inline_symlinks_[type]) inline_symlinks_[type][id] += u;
  }
}

Usage QuotaUsage::inline_symlinks(QuotaType type, uint32_t id) const {
  const auto& map = inline_symlinks_[static_cast<size_t>(type)];
  const auto it = map.find(id);
  return it == map.end() ? Usage() : it->second;
}

}  // namespace extscrub
