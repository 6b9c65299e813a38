// The names of on-disk fields that somebody goes by: what a rule names, and a repair, another rule or a report asks for. A field
// that is only shown is named where it is found. Constant data.
#pragma once

#include <string_view>

namespace extscrub::field {

inline constexpr std::string_view bg_block_bitmap = "bg_block_bitmap", bg_inode_bitmap = "bg_inode_bitmap",
                                  bg_inode_table = "bg_inode_table";

inline constexpr std::string_view s_inodes_count = "s_inodes_count", s_r_blocks_count = "s_r_blocks_count",
                                  s_log_groups_per_flex = "s_log_groups_per_flex", s_clusters_per_group = "s_clusters_per_group",
                                  s_creator_os = "s_creator_os", s_checksum_type = "s_checksum_type",
                                  s_first_data_block = "s_first_data_block", s_last_orphan = "s_last_orphan",
                                  s_backup_bgs = "s_backup_bgs", s_min_extra_isize = "s_min_extra_isize",
                                  s_want_extra_isize = "s_want_extra_isize", s_encoding = "s_encoding",
                                  s_journal_inum = "s_journal_inum", s_journal_dev = "s_journal_dev",
                                  s_def_hash_version = "s_def_hash_version", s_mount_opts = "s_mount_opts",
                                  s_journal_uuid = "s_journal_uuid", s_first_ino = "s_first_ino",
                                  s_reserved_gdt_blocks = "s_reserved_gdt_blocks", s_desc_size = "s_desc_size",
                                  s_usr_quota_inum = "s_usr_quota_inum", s_grp_quota_inum = "s_grp_quota_inum",
                                  s_prj_quota_inum = "s_prj_quota_inum", s_orphan_file_inum = "s_orphan_file_inum";

}  // namespace extscrub::field
