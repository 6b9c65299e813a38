#include <algorithm>
#include <array>

#include "audit/catalogue/field.h"
#include "audit/repair/repair.h"
#include "audit/stage/primary_superblock.h"

namespace extscrub {

namespace {

// Room for the fields that mke2fs gives large inodes, as far as these have it.
uint16_t usual_extra_isize(const Geometry& g) {
  return static_cast<uint16_t>(std::min<size_t>(sizeof(ext2_inode_large), g.inode_size) - EXT2_GOOD_OLD_INODE_SIZE);
}

struct FieldRepair {
  std::string_view field;
  void (*apply)(const Geometry& g, ext2_super_block& s, uint64_t expected);  // by the finding, where it is one value
};

constexpr auto kFields = std::to_array<FieldRepair>({
    {field::s_inodes_count, [](const Geometry& g, ext2_super_block& s, uint64_t) { s.s_inodes_count = g.inodes; }},
    {field::s_r_blocks_count,  // mke2fs reserves 5 %
     [](const Geometry& g, ext2_super_block& s, uint64_t) {
       s.s_r_blocks_count = static_cast<uint32_t>(g.blocks / 20);
       if (g.has_incompat(EXT4_FEATURE_INCOMPAT_64BIT)) s.s_r_blocks_count_hi = static_cast<uint32_t>((g.blocks / 20) >> 32);
     }},
    {field::s_log_groups_per_flex,
     [](const Geometry& g, ext2_super_block& s, uint64_t) {
       s.s_log_groups_per_flex = g.has_incompat(EXT4_FEATURE_INCOMPAT_FLEX_BG) ? 4 : 0;
     }},
    {field::s_clusters_per_group,
     [](const Geometry&, ext2_super_block& s, uint64_t) { s.s_clusters_per_group = s.s_blocks_per_group; }},
    {field::s_creator_os, [](const Geometry&, ext2_super_block& s, uint64_t) { s.s_creator_os = EXT2_OS_LINUX; }},
    {field::s_checksum_type, [](const Geometry&, ext2_super_block& s, uint64_t) { s.s_checksum_type = EXT2_CRC32C_CHKSUM; }},
    {field::s_first_data_block, [](const Geometry&, ext2_super_block& s, uint64_t) { s.s_first_data_block = 0; }},  // of clusters
    {field::s_last_orphan, [](const Geometry&, ext2_super_block& s, uint64_t) { s.s_last_orphan = 0; }},
    {field::s_backup_bgs,
     [](const Geometry& g, ext2_super_block& s, uint64_t) {
       for (uint32_t& group : s.s_backup_bgs)
         if (group >= g.groups) group = 0;
     }},
    {field::s_min_extra_isize,
     [](const Geometry& g, ext2_super_block& s, uint64_t) { s.s_min_extra_isize = usual_extra_isize(g); }},
    {field::s_want_extra_isize,
     [](const Geometry& g, ext2_super_block& s, uint64_t) { s.s_want_extra_isize = usual_extra_isize(g); }},
    {field::s_encoding, [](const Geometry&, ext2_super_block& s, uint64_t) { s.s_encoding = EXT4_ENC_UTF8_12_1; }},
    {field::s_journal_inum, [](const Geometry&, ext2_super_block& s, uint64_t) { s.s_journal_inum = 0; }},
    {field::s_journal_dev, [](const Geometry&, ext2_super_block& s, uint64_t) { s.s_journal_dev = 0; }},
    {field::s_def_hash_version,
     [](const Geometry&, ext2_super_block& s, uint64_t) { s.s_def_hash_version = EXT2_HASH_HALF_MD4; }},
    {field::s_mount_opts, [](const Geometry&, ext2_super_block& s, uint64_t) { std::ranges::fill(s.s_mount_opts, uint8_t{0}); }},
    {field::s_journal_uuid,
     [](const Geometry&, ext2_super_block& s, uint64_t) { std::ranges::fill(s.s_journal_uuid, uint8_t{0}); }},
    {field::s_first_ino,
     [](const Geometry&, ext2_super_block& s, uint64_t first) { s.s_first_ino = static_cast<uint32_t>(first); }},
    {field::s_reserved_gdt_blocks,
     [](const Geometry&, ext2_super_block& s, uint64_t listed) { s.s_reserved_gdt_blocks = static_cast<uint16_t>(listed); }},
    {field::s_desc_size,  // 0 where it does not matter
     [](const Geometry&, ext2_super_block& s, uint64_t size) { s.s_desc_size = static_cast<uint16_t>(size); }},
    {field::s_usr_quota_inum, [](const Geometry&, ext2_super_block& s, uint64_t) { s.s_usr_quota_inum = 0; }},
    {field::s_grp_quota_inum, [](const Geometry&, ext2_super_block& s, uint64_t) { s.s_grp_quota_inum = 0; }},
    {field::s_prj_quota_inum, [](const Geometry&, ext2_super_block& s, uint64_t) { s.s_prj_quota_inum = 0; }},
    {field::s_orphan_file_inum, [](const Geometry&, ext2_super_block& s, uint64_t) { s.s_orphan_file_inum = 0; }},
});

// Every contradiction that check_superblock() knows, resolved to what the image is.
void reconcile_features(ext2_super_block& s) {
  if (s.s_rev_level == EXT2_GOOD_OLD_REV && (s.s_feature_compat || s.s_feature_incompat || s.s_feature_ro_compat)) {
    s.s_rev_level = EXT2_DYNAMIC_REV;
    s.s_first_ino = EXT2_GOOD_OLD_FIRST_INO;
    s.s_inode_size = EXT2_GOOD_OLD_INODE_SIZE;
  }
  if (s.s_feature_ro_compat & EXT4_FEATURE_RO_COMPAT_METADATA_CSUM)
    s.s_feature_ro_compat &= ~uint32_t{EXT4_FEATURE_RO_COMPAT_GDT_CSUM};
  else
    s.s_feature_incompat &= ~uint32_t{EXT4_FEATURE_INCOMPAT_CSUM_SEED};
  if (s.s_feature_incompat & EXT4_FEATURE_INCOMPAT_64BIT || s.s_feature_ro_compat & EXT4_FEATURE_RO_COMPAT_BIGALLOC)
    s.s_feature_incompat |= EXT3_FEATURE_INCOMPAT_EXTENTS;
  if (s.s_log_cluster_size == s.s_log_block_size && s.s_first_data_block != 0)
    s.s_feature_ro_compat &= ~uint32_t{EXT4_FEATURE_RO_COMPAT_BIGALLOC};
  if (s.s_feature_incompat & EXT2_FEATURE_INCOMPAT_META_BG) {
    if (s.s_feature_compat & EXT2_FEATURE_COMPAT_RESIZE_INODE) s.s_reserved_gdt_blocks = 0;
    s.s_feature_compat &= ~uint32_t{EXT2_FEATURE_COMPAT_RESIZE_INODE};
  }
  if (!(s.s_feature_compat & EXT4_FEATURE_COMPAT_ORPHAN_FILE))
    s.s_feature_ro_compat &= ~uint32_t{EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT};
  if (!(s.s_feature_compat & EXT3_FEATURE_COMPAT_HAS_JOURNAL)) s.s_feature_incompat &= ~uint32_t{EXT3_FEATURE_INCOMPAT_RECOVER};
}

// The superblock and the descriptors that were gone by, in the places of the primary ones.
Result<void> write_primary(RepairRound& round) {
  const FileSystem& fs = round.fs();
  const Geometry& g = fs.geometry;
  auto block = round.overlay.edit(BlockNo(kSuperblockOffset / g.block_size));
  if (!block) return std::unexpected(block.error());
  ext2_super_block super = fs.super;
  super.s_block_group_nr = 0;
  store(*block, kSuperblockOffset % g.block_size, super);
  for (GroupNo group; group.value < g.groups; ++group) {
    const GroupDesc desc = descriptor_to_store(fs, group);
    if (!desc.readable) continue;
    auto table = round.overlay.edit(g.desc_block(group.value / g.desc_per_block, GroupNo()));
    if (!table) return std::unexpected(table.error());
    encode_group_desc(g, fs.super, group, desc,
                      table->subspan(size_t{group.value % g.desc_per_block} * g.desc_size, g.desc_size));
  }
  return edit_primary_superblock(round.overlay, [](ext2_super_block& s) { s.s_state &= static_cast<uint16_t>(~EXT2_VALID_FS); });
}

}  // namespace

Result<size_t> repair_primary(RepairRound& round) {
  for (Finding& f : round.findings.of(Pass::primary)) {
    if (!round.may(f.problem)) continue;
    if (auto r = write_primary(round); !r) return std::unexpected(r.error());
    f.repair = RepairState::staged;
    round.stale = true;
    return 1;
  }
  return 0;
}

Result<size_t> repair_superblock_fields(RepairRound& round) {
  size_t answered = 0;
  for (Finding& f : round.findings.of(Pass::superblock_fields)) {
    if (!round.may(f.problem)) continue;
    const auto known = std::ranges::find(kFields, std::string_view(f.field), &FieldRepair::field);
    if (f.problem == Problem::superblock_field && known == kFields.end()) continue;
    // Without a backup that knows it a safe repair would give the fields of all inodes another meaning.
    if (f.field == field::s_creator_os && !round.fs().lost_creator && !round.lossy()) continue;
    auto r = edit_primary_superblock(round.overlay, [&](ext2_super_block& s) {
      if (f.problem == Problem::superblock_features) {
        s.s_feature_compat |= round.fs().lost_compat;
        s.s_feature_incompat |= round.fs().lost_incompat;
        s.s_feature_ro_compat |= round.fs().lost_ro_compat;
        if (!round.run.audit.recovery.journal.fast_commits_fit) s.s_feature_compat &= ~uint32_t{EXT4_FEATURE_COMPAT_FAST_COMMIT};
        reconcile_features(s);
      }
      if (f.problem != Problem::superblock_features) known->apply(round.geometry(), s, expected_number(f.evidence).value_or(0));
    });
    if (!r) return std::unexpected(r.error());
    f.repair = RepairState::staged;
    round.stale = true;
    ++answered;
  }
  return answered;
}

Result<size_t> repair_superblock(RepairRound& round) {
  size_t answered = 0;
  const bool other_damage = round.findings.any(Pass::superblock_fields);
  const bool lost = !round.lossy() && round.findings.any_hides(Hidden::gone);
  const auto apply = [&](Finding& f) {
    return edit_primary_superblock(round.overlay, [&](ext2_super_block& s) {
      const uint64_t counted = expected_number(f.evidence).value_or(0);
      if (f.problem == Problem::superblock_free_inodes) s.s_free_inodes_count = static_cast<uint32_t>(counted);
      if (f.problem != Problem::superblock_free_blocks) return;
      s.s_free_blocks_count = static_cast<uint32_t>(counted);
      if (round.run.fs.geometry.has_incompat(EXT4_FEATURE_INCOMPAT_64BIT))
        s.s_free_blocks_hi = static_cast<uint32_t>(counted >> 32);
    });
  };
  for (Finding& f : round.findings.of(Pass::superblock_totals)) {
    const bool checksum = f.problem == Problem::superblock_checksum;
    if (checksum && other_damage) continue;
    if (!checksum && lost) continue;  // they are counted there too
    if (!checksum && loss_is_pending(round)) continue;  // what is free may be another block
    if (auto r = apply(f); !r) return std::unexpected(r.error());
    f.repair = RepairState::staged;
    ++answered;
  }
  return answered;
}

Result<void> stage_state(Overlay& overlay, bool clean, uint32_t now) {
  return edit_primary_superblock(overlay, [&](ext2_super_block& s) {
    if (!clean) {
      s.s_state &= static_cast<uint16_t>(~EXT2_VALID_FS);
      return;
    }
    s.s_state |= EXT2_VALID_FS;
    if (s.s_state & EXT2_ERROR_FS) {
      s.s_state &= static_cast<uint16_t>(~EXT2_ERROR_FS);
      set_error_fields(s, {});  // the record goes with the mark, as a whole
    }
    s.s_lastcheck = now;
    s.s_mnt_count = 0;
  });
}

}  // namespace extscrub
