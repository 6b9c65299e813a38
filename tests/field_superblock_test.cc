// A fault for every field of the superblock.
#include <catch2/catch.hpp>

#include "tests/fields/images.h"

namespace extscrub::test {

namespace {

using enum Problem;

constexpr const char* kHistory = "what it was told at some time: any value is right";
constexpr const char* kHint = "a hint for allocators: any value works";
constexpr const char* kOff = "the feature is off: nobody reads it";
constexpr const char* kPadding = "nobody reads it";

const std::vector<FieldRow>& superblock_rows() {
  static const std::vector<FieldRow> rows = {
      {"s_inodes_count", 0x00, 4, {0, 1, add(1), ~0u}, safe(superblock_field)},
      {"s_blocks_count_lo", 0x04, 4, {0, 1, add(1), add(0x1000), ~0u}, lossy(superblock_primary_bad)},
      {"s_r_blocks_count_lo", 0x08, 4, {2049, ~0u}, safe(superblock_field)},
      {"s_r_blocks_count_lo", 0x08, 4, {0, 100}, unseen("any share of the blocks up to half of them can be kept for root")},
      {"s_free_blocks_count_lo", 0x0C, 4, {0, add(1), ~0u}, safe(superblock_free_blocks)},
      {"s_free_inodes_count", 0x10, 4, {0, add(1), ~0u}, safe(superblock_free_inodes)},
      {"s_first_data_block", 0x14, 4, {0, 2, ~0u}, lossy(superblock_primary_bad)},
      {"s_log_block_size", 0x18, 4, {1, 2, 7, ~0u}, lossy(superblock_primary_bad)},
      {"s_log_cluster_size", 0x1C, 4, {1, 7, ~0u}, lossy(superblock_primary_bad)},
      {"s_blocks_per_group", 0x20, 4, {0, 8, 1016, 2048, 8192, ~0u}, lossy(superblock_primary_bad)},
      {"s_clusters_per_group", 0x24, 4, {0, 8, 2048, ~0u}, safe(superblock_field)},
      {"s_inodes_per_group", 0x28, 4, {0, 8, 48, 8192, ~0u}, lossy(superblock_primary_bad)},
      {"s_mtime", 0x2C, 4, {1, 1700000000}, unseen(kHistory)},
      {"s_mtime", 0x2C, 4, {~0u}, note(superblock_time_future)},
      {"s_wtime", 0x30, 4, {1, 1700000000}, unseen(kHistory)},
      {"s_wtime", 0x30, 4, {~0u}, note(superblock_time_future)},
      {"s_mnt_count", 0x34, 2, {1, 0xFFFF}, unseen(kHistory)},
      {"s_max_mnt_count", 0x36, 2, {0, 1, 0x8000}, unseen("any number of mounts may be allowed")},
      {"s_magic", 0x38, 2, {0, 0xEF52, 0xFFFF}, lossy(superblock_primary_bad)},
      {"s_state", 0x3A, 2, {0}, safe(superblock_not_clean)},
      {"s_state", 0x3A, 2, {3}, safe(superblock_error_mark)},
      {"s_errors", 0x3C, 2, {0, 2, 3, 77}, unseen("what to do at an error; the kernel goes on where it does not know the value")},
      {"s_minor_rev_level", 0x3E, 2, {1, 0xFFFF}, unseen("nobody reads it")},
      {"s_lastcheck", 0x40, 4, {0, ~0u}, unseen(kHistory)},
      {"s_checkinterval", 0x44, 4, {1, ~0u}, unseen("any interval may be asked for")},
      {"s_creator_os", 0x48, 4, {1, 77}, unseen("who made it; 1 (Hurd) tells how osd1 and osd2 are used")},
      {"s_rev_level", 0x4C, 4, {0, 2, ~0u}, lossy(superblock_primary_bad)},
      {"s_def_resuid", 0x50, 2, {1, 0xFFFF}, unseen("any user may have the reserved blocks")},
      {"s_def_resgid", 0x52, 2, {1, 0xFFFF}, unseen("any group may have the reserved blocks")},
      {"s_first_ino", 0x54, 4, {0, 10, ~0u}, lossy(superblock_primary_bad)},
      {"s_first_ino", 0x54, 4, {12, 30}, safe(superblock_field)},
      {"s_inode_size", 0x58, 2, {0, 64, 128, 200, 512, 2048, 0xFFFF}, lossy(superblock_primary_bad)},
      {"s_block_group_nr", 0x5A, 2, {1, 0xFFFF}, unseen("the kernel reads it nowhere, and e2fsck only in backups")},
      {"s_feature_compat: has_journal", 0x5C, 4, {flip(0x4)}, lossy(superblock_field)},
      {"s_feature_compat: resize_inode", 0x5C, 4, {flip(0x10)}, safe(superblock_reserved_gdt)},
      {"s_feature_compat: unknown", 0x5C, 4, {flip(0x80000000)}, refused("unknown feature")},
      {"s_feature_incompat: extents, 64bit", 0x60, 4, {flip(0x40), flip(0x80)}, safe(superblock_features)},
      {"s_feature_incompat: unknown", 0x60, 4, {flip(0x80000000)}, refused("unknown feature")},
      {"s_feature_ro_compat: uninit_bg, bigalloc", 0x64, 4, {flip(0x10), flip(0x200)}, safe(superblock_features)},
      {"s_feature_ro_compat: metadata_csum", 0x64, 4, {flip(0x400)}, safe(superblock_features)},
      {"s_feature_ro_compat: unknown", 0x64, 4, {flip(0x80000000)}, refused("unknown feature")},
      {"s_uuid", 0x68, 16, {fill(0), flip(1)}, lossy(superblock_primary_bad)},
      {"s_volume_name", 0x78, 16, {fill(0), fill(0xFF)}, unseen("any name will do")},
      {"s_last_mounted", 0x88, 64, {fill(0x2F), fill(0xFF)}, unseen(kHistory)},
      {"s_algorithm_usage_bitmap", 0xC8, 4, {1, ~0u}, unseen("compression never came")},
      {"s_prealloc_blocks", 0xCC, 1, {1, 0xFF}, unseen(kHint)},
      {"s_prealloc_dir_blocks", 0xCD, 1, {1, 0xFF}, unseen(kHint)},
      {"s_reserved_gdt_blocks", 0xCE, 2, {0, 1, 200}, safe(superblock_field)},
      {"s_reserved_gdt_blocks", 0xCE, 2, {0xFFFF}, lossy(superblock_primary_bad)},
      {"s_journal_uuid", 0xD0, 16, {fill(1), flip(1)}, safe(superblock_field)},
      {"s_journal_inum", 0xE0, 4, {0, 7, 11, ~0u}, lossy(journal_inode_missing)},
      {"s_journal_dev", 0xE4, 4, {1, ~0u}, safe(superblock_field)},
      {"s_last_orphan", 0xE8, 4, {~0u}, safe(superblock_field)},
      {"s_last_orphan", 0xE8, 4, {11, 14}, safe(orphans_to_release)},
      {"s_hash_seed", 0xEC, 16, {fill(0), flip(1)}, safe(htree_range)},
      {"s_def_hash_version", 0xFC, 1, {0, 2, 6, 0xFF}, unseen("each index says its own; for a new one, any will do")},
      {"s_jnl_backup_type", 0xFD, 1, {0, 2, 0xFF}, unseen("whether s_jnl_blocks is a copy of the journal's map: nobody needs it now")},
      {"s_desc_size", 0xFE, 2, {32, 63, 2048, 0xFFFF}, safe(superblock_field)},
      {"s_desc_size", 0xFE, 2, {0, 128}, lossy(superblock_primary_bad)},
      {"s_default_mount_opts", 0x100, 4, {0, 0xFFF}, unseen("any options may be asked for")},
      {"s_first_meta_bg", 0x104, 4, {1, ~0u}, unseen(kOff)},
      {"s_mkfs_time", 0x108, 4, {0, ~0u}, unseen(kHistory)},
      {"s_jnl_blocks", 0x10C, 68, {fill(0), fill(0xFF)}, unseen("the copy of the journal's map: nobody needs it now")},
      {"s_blocks_count_hi", 0x150, 4, {1, ~0u}, lossy(superblock_primary_bad)},
      {"s_r_blocks_count_hi", 0x154, 4, {1, ~0u}, safe(superblock_field)},
      {"s_free_blocks_count_hi", 0x158, 4, {1, ~0u}, safe(superblock_free_blocks)},
      {"s_min_extra_isize", 0x15C, 2, {1, 2, 132, 0xFFFF}, safe(superblock_field)},
      {"s_want_extra_isize", 0x15E, 2, {1, 2, 132, 0xFFFF}, safe(superblock_field)},
      {"s_flags", 0x160, 4, {0, 3, 4, ~0u}, unseen("whether bytes of names are signed, and test file systems: both kinds exist")},
      {"s_raid_stride", 0x164, 2, {1, 0xFFFF}, unseen(kHint)},
      {"s_mmp_interval", 0x166, 2, {1, 0xFFFF}, unseen(kOff)},
      {"s_mmp_block", 0x168, 8, {1, ~0ull}, unseen(kOff)},
      {"s_raid_stripe_width", 0x170, 4, {1, ~0u}, unseen(kHint)},
      {"s_log_groups_per_flex", 0x174, 1, {32, 0xFF}, safe(superblock_field)},
      {"s_log_groups_per_flex", 0x174, 1, {0, 31}, unseen(kHint)},
      {"s_checksum_type", 0x175, 1, {0, 2, 0xFF}, safe(superblock_field)},
      {"s_encryption_level", 0x176, 1, {1, 0xFF}, unseen(kOff)},
      {"s_reserved_pad", 0x177, 1, {1, 0xFF}, unseen(kPadding)},
      {"s_kbytes_written", 0x178, 8, {0, ~0ull}, unseen(kHistory)},
      {"s_snapshot_inum", 0x180, 4, {1, ~0u}, unseen("snapshots never came")},
      {"s_snapshot_id", 0x184, 4, {1, ~0u}, unseen("snapshots never came")},
      {"s_snapshot_r_blocks_count", 0x188, 8, {1, ~0ull}, unseen("snapshots never came")},
      {"s_snapshot_list", 0x190, 4, {1, ~0u}, unseen("snapshots never came")},
      {"s_error_count", 0x194, 4, {1, ~0u}, note(superblock_past_errors)},
      {"s_first_error_time", 0x198, 4, {1, ~0u}, unseen(kHistory)},
      {"s_first_error_ino", 0x19C, 4, {1, ~0u}, unseen(kHistory)},
      {"s_first_error_block", 0x1A0, 8, {1, ~0ull}, unseen(kHistory)},
      {"s_first_error_func", 0x1A8, 32, {fill(0xFF)}, unseen(kHistory)},
      {"s_first_error_line", 0x1C8, 4, {1, ~0u}, unseen(kHistory)},
      {"s_last_error_time", 0x1CC, 4, {1, ~0u}, unseen(kHistory)},
      {"s_last_error_ino", 0x1D0, 4, {1, ~0u}, unseen(kHistory)},
      {"s_last_error_line", 0x1D4, 4, {1, ~0u}, unseen(kHistory)},
      {"s_last_error_block", 0x1D8, 8, {1, ~0ull}, unseen(kHistory)},
      {"s_last_error_func", 0x1E0, 32, {fill(0xFF)}, unseen(kHistory)},
      {"s_mount_opts", 0x200, 64, {fill(0xFF)}, unseen("any options may be asked for")},
      {"s_usr_quota_inum", 0x240, 4, {2, 13}, safe(superblock_field)},
      {"s_grp_quota_inum", 0x244, 4, {2, 13}, safe(superblock_field)},
      {"s_overhead_clusters", 0x248, 4, {1, ~0u}, unseen("the kernel counts itself where it does not fit")},
      {"s_backup_bgs", 0x24C, 8, {1, ~0ull}, unseen(kOff)},
      {"s_encrypt_algos", 0x254, 4, {1, ~0u}, unseen(kOff)},
      {"s_encrypt_pw_salt", 0x258, 16, {fill(0xFF)}, unseen(kOff)},
      {"s_lpf_ino", 0x268, 4, {1, ~0u}, unseen("lost+found is found by its name")},
      {"s_prj_quota_inum", 0x26C, 4, {2, 13}, safe(superblock_field)},
      {"s_checksum_seed", 0x270, 4, {1, ~0u}, unseen(kOff)},
      {"s_wtime_hi", 0x274, 1, {1, 0xFF}, note(superblock_time_future)},
      {"s_mtime_hi", 0x275, 1, {1, 0xFF}, note(superblock_time_future)},
      {"s_mkfs_time_hi", 0x276, 1, {1, 0xFF}, unseen(kHistory)},
      {"s_lastcheck_hi", 0x277, 1, {1, 0xFF}, unseen(kHistory)},
      {"s_first_error_time_hi", 0x278, 1, {1, 0xFF}, unseen(kHistory)},
      {"s_last_error_time_hi", 0x279, 1, {1, 0xFF}, unseen(kHistory)},
      {"s_first_error_errcode", 0x27A, 1, {1, 0xFF}, unseen(kHistory)},
      {"s_last_error_errcode", 0x27B, 1, {1, 0xFF}, unseen(kHistory)},
      {"s_encoding", 0x27C, 2, {1, 7, 0xFFFF}, unseen(kOff)},
      {"s_encoding_flags", 0x27E, 2, {1, 0xFFFF}, unseen(kOff)},
      {"s_orphan_file_inum", 0x280, 4, {2, 13}, safe(superblock_field)},
      {"s_reserved", 0x284, 376, {fill(0xFF)}, unseen(kPadding)},
  };
  return rows;
}

}  // namespace

TEST_CASE("a fault for every field of the superblock", "[fields]") {
  const FieldTable table = {"superblock", 1020, small_ext4, [](const TestImage&) { return Spot{kSuperblockOffset}; }, seal_superblock,
                            {superblock_primary_bad, Problem::superblock_checksum, superblock_features}};
  check_fields(table, superblock_rows());
  const FieldTable checksum = {"superblock's checksum", 4, small_ext4, [](const TestImage&) { return Spot{kSuperblockOffset + 1020}; }};
  check_fields(checksum, {{"s_checksum", 0, 4, {0, flip(1), ~0u}, safe(Problem::superblock_checksum)}});
}

}  // namespace extscrub::test
