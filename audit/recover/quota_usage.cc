#include "audit/recover/quota_usage.h"

#include <algorithm>
#include <array>

#include "audit/stage/quota_records.h"

namespace extscrub {

namespace {

void reduce(uint64_t& value, uint64_t by) { value -= std::min(value, by); }

}  // namespace

void QuotaRelease::subtract(const Inode& inode, uint64_t bytes, uint64_t inodes) {
  if (!geometry_.has_ro_compat(EXT4_FEATURE_RO_COMPAT_QUOTA)) return;
  const ext2_inode& base = inode.base();
  const auto charge = [&](int type, uint32_t id) {
    Change& change = changes_[{type, id}];
    change.bytes += bytes;
    change.inodes += inodes;
  };
  charge(0, inode_uid(base));
  charge(1, inode_gid(base));
  if (!geometry_.has_ro_compat(EXT4_FEATURE_RO_COMPAT_PROJECT)) return;
  const bool has_project = inode.has_extra(offsetof(ext2_inode_large, i_projid) + sizeof(uint32_t));
  charge(2, has_project ? inode.large().i_projid : 0);
}

Result<void> QuotaRelease::stage(const FileSystem& fs, Overlay& overlay) const {
  const std::array<uint32_t, 3> inodes = {fs.super.s_usr_quota_inum, fs.super.s_grp_quota_inum, fs.super.s_prj_quota_inum};
  for (int type = 0; type < 3; ++type) {
    const uint32_t ino = inodes[static_cast<size_t>(type)];
    if (ino == 0 || std::ranges::none_of(changes_, [=](const auto& c) { return c.first.first == type; })) continue;
    QuotaRecords file(fs, overlay, InodeNo(ino));
    if (!file.is(static_cast<QuotaType>(type))) continue;
    for (const auto& [owner, change] : changes_) {
      if (owner.first != type) continue;
      auto r = file.edit(owner.second, [&](QuotaEntryR1& e) {
        reduce(e.inodes, change.inodes);
        reduce(e.space, change.bytes);
      });
      if (!r) return std::unexpected(r.error());
    }
  }
  return {};
}

}  // namespace extscrub
