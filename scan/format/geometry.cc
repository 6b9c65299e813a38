#include "scan/format/geometry.h"

extern "C" {
#include <e2p/e2p.h>
}
#include <fmt/format.h>

#include <bit>

#include "scan/format/crc.h"

namespace extscrub {

namespace {

// What this program can read whole; the journal_dev feature makes the image a journal, not a file system. A feature that is
// unknown may own blocks and fields that no rule knows of, also where the kernel may mount without knowing it.
constexpr uint32_t kKnownCompat = EXT2_FEATURE_COMPAT_DIR_PREALLOC | EXT2_FEATURE_COMPAT_IMAGIC_INODES |
                                  EXT3_FEATURE_COMPAT_HAS_JOURNAL | EXT2_FEATURE_COMPAT_EXT_ATTR |
                                  EXT2_FEATURE_COMPAT_RESIZE_INODE | EXT2_FEATURE_COMPAT_DIR_INDEX |
                                  EXT4_FEATURE_COMPAT_SPARSE_SUPER2 | EXT4_FEATURE_COMPAT_FAST_COMMIT |
                                  EXT4_FEATURE_COMPAT_STABLE_INODES | EXT4_FEATURE_COMPAT_ORPHAN_FILE;
constexpr uint32_t kKnownRoCompat =
    EXT2_FEATURE_RO_COMPAT_SPARSE_SUPER | EXT2_FEATURE_RO_COMPAT_LARGE_FILE | EXT4_FEATURE_RO_COMPAT_HUGE_FILE |
    EXT4_FEATURE_RO_COMPAT_GDT_CSUM | EXT4_FEATURE_RO_COMPAT_DIR_NLINK | EXT4_FEATURE_RO_COMPAT_EXTRA_ISIZE |
    EXT4_FEATURE_RO_COMPAT_QUOTA | EXT4_FEATURE_RO_COMPAT_BIGALLOC | EXT4_FEATURE_RO_COMPAT_METADATA_CSUM |
    EXT4_FEATURE_RO_COMPAT_READONLY | EXT4_FEATURE_RO_COMPAT_PROJECT | EXT4_FEATURE_RO_COMPAT_SHARED_BLOCKS |
    EXT4_FEATURE_RO_COMPAT_VERITY | EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT;
constexpr uint32_t kKnownIncompat =
    EXT2_FEATURE_INCOMPAT_FILETYPE | EXT3_FEATURE_INCOMPAT_RECOVER | EXT2_FEATURE_INCOMPAT_META_BG |
    EXT3_FEATURE_INCOMPAT_EXTENTS | EXT4_FEATURE_INCOMPAT_64BIT | EXT4_FEATURE_INCOMPAT_MMP | EXT4_FEATURE_INCOMPAT_FLEX_BG |
    EXT4_FEATURE_INCOMPAT_EA_INODE | EXT4_FEATURE_INCOMPAT_CSUM_SEED | EXT4_FEATURE_INCOMPAT_LARGEDIR |
    EXT4_FEATURE_INCOMPAT_INLINE_DATA | EXT4_FEATURE_INCOMPAT_ENCRYPT | EXT4_FEATURE_INCOMPAT_CASEFOLD;

std::unexpected<Error> unusable(std::string why, ErrorKind kind = ErrorKind::no_superblock) {
  return std::unexpected(Error{std::move(why), kind});
}

bool is_power_of(uint32_t n, uint32_t base) {
  while (n > 1 && n % base == 0) n /= base;
  return n == 1;
}

// The sizes of block, cluster, inode and descriptor.
Result<void> derive_sizes(const ext2_super_block& s, Geometry& g) {
  if (s.s_log_block_size > EXT2_MAX_BLOCK_LOG_SIZE - EXT2_MIN_BLOCK_LOG_SIZE)
    return unusable(fmt::format("s_log_block_size is {}", s.s_log_block_size));
  g.block_bits = EXT2_MIN_BLOCK_LOG_SIZE + s.s_log_block_size;
  g.block_size = 1u << g.block_bits;

  if (g.has_ro_compat(EXT4_FEATURE_RO_COMPAT_BIGALLOC)) {
    if (s.s_log_cluster_size < s.s_log_block_size || s.s_log_cluster_size > EXT2_MAX_CLUSTER_LOG_SIZE - 10)
      return unusable(fmt::format("s_log_cluster_size is {}", s.s_log_cluster_size));
    g.cluster_bits = s.s_log_cluster_size - s.s_log_block_size;
  } else if (s.s_log_cluster_size != s.s_log_block_size) {
    return unusable(fmt::format("s_log_cluster_size is {} without bigalloc", s.s_log_cluster_size));
  }

  const bool old_revision = s.s_rev_level == EXT2_GOOD_OLD_REV;
  g.inode_size = old_revision ? EXT2_GOOD_OLD_INODE_SIZE : s.s_inode_size;
  if (g.inode_size < EXT2_GOOD_OLD_INODE_SIZE || g.inode_size > g.block_size || !std::has_single_bit(g.inode_size))
    return unusable(fmt::format("s_inode_size is {}", s.s_inode_size));
  g.first_inode = old_revision ? EXT2_GOOD_OLD_FIRST_INO : s.s_first_ino;

  g.desc_size = EXT2_MIN_DESC_SIZE;
  if (g.has_incompat(EXT4_FEATURE_INCOMPAT_64BIT)) {
    g.desc_size = s.s_desc_size;
    if (g.desc_size < EXT2_MIN_DESC_SIZE_64BIT || g.desc_size > EXT2_MAX_DESC_SIZE || !std::has_single_bit(g.desc_size))
      return unusable(fmt::format("s_desc_size is {}", s.s_desc_size));
  }
  return {};
}

// The counts of blocks, groups and inodes.
Result<void> derive_counts(const ext2_super_block& s, Geometry& g) {
  g.blocks = s.s_blocks_count;
  if (g.has_incompat(EXT4_FEATURE_INCOMPAT_64BIT)) g.blocks |= uint64_t{s.s_blocks_count_hi} << 32;
  g.first_data_block = s.s_first_data_block;
  if (g.first_data_block > 1 || (g.first_data_block == 1 && g.block_size > 1024) ||
      (g.first_data_block == 0 && g.block_size == 1024 && g.cluster_bits == 0 &&
       !g.has_ro_compat(EXT4_FEATURE_RO_COMPAT_BIGALLOC)))
    return unusable(fmt::format("s_first_data_block is {} at a block size of {}", g.first_data_block, g.block_size));
  if (g.blocks <= g.first_data_block) return unusable(fmt::format("s_blocks_count is {}", g.blocks));

  g.blocks_per_group = s.s_blocks_per_group;
  g.clusters_per_group = g.cluster_bits ? s.s_clusters_per_group : s.s_blocks_per_group;
  if (g.clusters_per_group < 8 || g.clusters_per_group > 8 * g.block_size || g.clusters_per_group % 8)
    return unusable(fmt::format("s_{}_per_group is {}", g.cluster_bits ? "clusters" : "blocks", g.clusters_per_group));
  if (uint64_t{g.clusters_per_group} << g.cluster_bits != g.blocks_per_group)
    return unusable(
        fmt::format("s_blocks_per_group is {} and s_clusters_per_group {}", g.blocks_per_group, g.clusters_per_group));

  const uint64_t groups = (g.blocks - g.first_data_block + g.blocks_per_group - 1) / g.blocks_per_group;
  g.inodes_per_group = s.s_inodes_per_group;
  const uint32_t per_block = g.block_size / g.inode_size;
  if (g.inodes_per_group == 0 || g.inodes_per_group > 8 * g.block_size)
    return unusable(fmt::format("s_inodes_per_group is {}", g.inodes_per_group));
  if (groups * g.inodes_per_group > UINT32_MAX)
    return unusable(fmt::format("{} groups of {} inodes are more than an inode number can hold", groups, g.inodes_per_group));
  g.groups = static_cast<uint32_t>(groups);
  g.inodes = g.groups * g.inodes_per_group;
  g.itable_blocks = (g.inodes_per_group + per_block - 1) / per_block;
  if (g.itable_blocks + 3 > g.blocks_per_group && !g.has_incompat(EXT4_FEATURE_INCOMPAT_FLEX_BG))
    return unusable(fmt::format("{} inodes do not fit into a group of {} blocks", g.inodes_per_group, g.blocks_per_group));
  if (g.first_inode < EXT2_GOOD_OLD_FIRST_INO || g.first_inode > g.inodes)
    return unusable(fmt::format("s_first_ino is {}", g.first_inode));
  return {};
}

Result<void> derive_descriptors(const ext2_super_block& s, Geometry& g) {
  g.desc_per_block = g.block_size / g.desc_size;
  g.desc_blocks = (g.groups + g.desc_per_block - 1) / g.desc_per_block;
  const bool meta_bg = g.has_incompat(EXT2_FEATURE_INCOMPAT_META_BG);
  g.first_meta_bg = meta_bg ? s.s_first_meta_bg : g.desc_blocks;
  if (g.first_meta_bg > g.desc_blocks) return unusable(fmt::format("s_first_meta_bg is {}", s.s_first_meta_bg));
  g.reserved_gdt_blocks = meta_bg ? 0 : s.s_reserved_gdt_blocks;
  if (g.reserved_gdt_blocks > g.block_size / 4)
    return unusable(fmt::format("s_reserved_gdt_blocks is {}", s.s_reserved_gdt_blocks));
  if (uint64_t{g.first_meta_bg} + 1 + g.first_data_block >= g.blocks)
    return unusable(fmt::format("{} blocks of group descriptors do not fit", g.desc_blocks));
  return {};
}

}  // namespace

bool Geometry::has_super(GroupNo g) const {
  if (g.value == 0) return true;
  if (has_compat(EXT4_FEATURE_COMPAT_SPARSE_SUPER2)) return g.value == backup_groups[0] || g.value == backup_groups[1];
  if (g.value == 1 || !has_ro_compat(EXT2_FEATURE_RO_COMPAT_SPARSE_SUPER)) return true;
  return is_power_of(g.value, 3) || is_power_of(g.value, 5) || is_power_of(g.value, 7);
}

BlockNo Geometry::super_block(GroupNo g) const {
  // With bigalloc at 1 KiB blocks group 0 begins at block 0, its superblock still at byte 1024.
  if (g.value == 0) return BlockNo(kSuperblockOffset / block_size);
  return group_first(g);
}

BlockNo Geometry::desc_block(uint32_t index, GroupNo g) const {
  if (index < first_meta_bg) return super_block(g) + 1 + index;
  const uint64_t in_meta_group = g.value == 0 ? 0 : 1;
  GroupNo holder(static_cast<uint32_t>(uint64_t{index} * desc_per_block + in_meta_group));
  if (holder.value >= groups) holder = GroupNo(index * desc_per_block);
  return has_super(holder) ? super_block(holder) + 1 : group_first(holder);
}

uint32_t Geometry::super_and_desc_blocks(GroupNo g) const {
  const uint32_t index = g.value / desc_per_block;
  const bool super = has_super(g);
  if (index < first_meta_bg) return super ? 1 + first_meta_bg + reserved_gdt_blocks : 0;
  const uint32_t place = g.value % desc_per_block;
  const bool holds_desc = place == 0 || place == 1 || place == desc_per_block - 1;
  return (super ? 1 : 0) + (holds_desc ? 1 : 0);
}

Result<Geometry> derive_geometry(const ext2_super_block& s, uint64_t image_size) {
  if (s.s_magic != EXT2_SUPER_MAGIC) return unusable("no ext2, ext3 or ext4 superblock");
  if (s.s_rev_level > EXT2_DYNAMIC_REV) return unusable(fmt::format("s_rev_level is {}", s.s_rev_level));
  Geometry g;
  g.compat = s.s_feature_compat;
  g.incompat = s.s_feature_incompat;
  g.ro_compat = s.s_feature_ro_compat;
  g.backup_groups = {s.s_backup_bgs[0], s.s_backup_bgs[1]};
  if (g.has_incompat(EXT3_FEATURE_INCOMPAT_JOURNAL_DEV))
    return unusable("it is an external journal, not a file system", ErrorKind::unknown_feature);
  const uint32_t compat = g.compat & ~kKnownCompat, incompat = g.incompat & ~kKnownIncompat;
  const uint32_t ro_compat = g.ro_compat & ~kKnownRoCompat;
  if (compat | incompat | ro_compat)
    return unusable(fmt::format("unknown feature {}", fmt::join(feature_names(compat, incompat, ro_compat), ", ")),
                    ErrorKind::unknown_feature);

  if (auto r = derive_sizes(s, g); !r) return std::unexpected(r.error());
  if (auto r = derive_counts(s, g); !r) return std::unexpected(r.error());
  if (auto r = derive_descriptors(s, g); !r) return std::unexpected(r.error());
  if (g.blocks > image_size >> g.block_bits && g.blocks > (image_size + g.block_size - 1) >> g.block_bits)
    return unusable(fmt::format("the superblock says {} blocks of {} bytes, the image holds {}", g.blocks, g.block_size,
                                image_size >> g.block_bits),
                    ErrorKind::truncated);

  g.csum_seed =
      g.has_incompat(EXT4_FEATURE_INCOMPAT_CSUM_SEED) ? s.s_checksum_seed : crc32c(~0u, std::as_bytes(std::span(s.s_uuid)));
  return g;
}

std::vector<std::string> feature_names(uint32_t compat, uint32_t incompat, uint32_t ro_compat) {
  std::vector<std::string> names;
  for (const auto& [set, mask] :
       {std::pair{E2P_FEATURE_COMPAT, compat}, {E2P_FEATURE_INCOMPAT, incompat}, {E2P_FEATURE_RO_INCOMPAT, ro_compat}})
    for (unsigned bit = 0; bit < 32; ++bit)
      if (mask & 1u << bit) {
        char buffer[64];
        e2p_feature_to_string(set, 1u << bit, buffer, sizeof buffer);
        names.emplace_back(buffer);
      }
  return names;
}

}  // namespace extscrub
