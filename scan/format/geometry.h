// Where everything lies: derived once from a superblock, all of it checked, so that later code may compute without doubt.
// Immutable after derive_geometry(): any thread.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "scan/format/error.h"
#include "scan/format/ondisk.h"
#include "scan/format/types.h"

namespace extscrub {

struct Geometry {
  uint32_t block_size = 0;          // bytes: 1024 to 65536
  uint32_t block_bits = 0;          // log2 of block_size
  uint32_t cluster_bits = 0;        // log2 of blocks a cluster; 0 without bigalloc
  uint32_t first_data_block = 0;    // where group 0 begins
  uint64_t blocks = 0;              // s_blocks_count
  uint32_t blocks_per_group = 0;
  uint32_t clusters_per_group = 0;  // bits of a block bitmap that mean something
  uint32_t groups = 0;
  uint32_t inodes_per_group = 0;
  uint32_t inodes = 0;              // groups * inodes_per_group
  uint32_t inode_size = 0;          // bytes: 128 to block_size
  uint32_t itable_blocks = 0;       // blocks of an inode table
  uint32_t first_inode = 0;         // the first inode for files; those below are reserved
  uint32_t desc_size = 0;           // bytes of a group descriptor: 32, or 64 and more
  uint32_t desc_per_block = 0;
  uint32_t desc_blocks = 0;         // blocks of the descriptor table
  uint32_t first_meta_bg = 0;       // descriptor block from which on meta_bg holds; desc_blocks without meta_bg
  uint32_t reserved_gdt_blocks = 0;
  uint32_t csum_seed = 0;           // crc32c of the UUID, or s_checksum_seed
  uint32_t compat = 0, incompat = 0, ro_compat = 0;
  std::array<uint32_t, 2> backup_groups{};  // s_backup_bgs, with sparse_super2

  [[nodiscard]] bool has_compat(uint32_t feature) const { return compat & feature; }
  [[nodiscard]] bool has_incompat(uint32_t feature) const { return incompat & feature; }
  [[nodiscard]] bool has_ro_compat(uint32_t feature) const { return ro_compat & feature; }
  [[nodiscard]] bool metadata_csum() const { return has_ro_compat(EXT4_FEATURE_RO_COMPAT_METADATA_CSUM); }
  // Descriptors carry a checksum, so that their uninit flags and unused counts mean something.
  [[nodiscard]] bool group_csum() const {
    return has_ro_compat(EXT4_FEATURE_RO_COMPAT_METADATA_CSUM | EXT4_FEATURE_RO_COMPAT_GDT_CSUM);
  }
  [[nodiscard]] bool extents() const { return has_incompat(EXT3_FEATURE_INCOMPAT_EXTENTS); }

  [[nodiscard]] uint64_t clusters(GroupNo g) const { return (group_blocks(g) + (1u << cluster_bits) - 1) >> cluster_bits; }
  [[nodiscard]] BlockNo group_first(GroupNo g) const { return BlockNo(first_data_block + uint64_t{g.value} * blocks_per_group); }
  [[nodiscard]] uint32_t group_blocks(GroupNo g) const {  // the last group may be short
    const uint64_t rest = blocks - group_first(g).value;
    return rest < blocks_per_group ? static_cast<uint32_t>(rest) : blocks_per_group;
  }
  [[nodiscard]] GroupNo group_of(BlockNo b) const {
    return GroupNo(static_cast<uint32_t>((b.value - first_data_block) / blocks_per_group));
  }
  // The block's cluster, counted from its group's first one: its bit in a block bitmap.
  [[nodiscard]] uint32_t cluster_in_group(BlockNo b) const {
    return static_cast<uint32_t>((b.value - first_data_block) % blocks_per_group) >> cluster_bits;
  }
  [[nodiscard]] GroupNo group_of(InodeNo i) const { return GroupNo((i.value - 1) / inodes_per_group); }
  [[nodiscard]] InodeNo group_first_inode(GroupNo g) const { return InodeNo(g.value * inodes_per_group + 1); }

  // `count` blocks from `b` on lie inside the file system, behind what comes before group 0.
  [[nodiscard]] bool contains(BlockNo b, uint64_t count = 1) const {
    return b.value >= first_data_block && b.value < blocks && count <= blocks - b.value;
  }
  [[nodiscard]] bool valid_inode(InodeNo i) const { return i.value >= 1 && i.value <= inodes; }

  // The group holds a copy of the superblock (sparse_super, sparse_super2).
  [[nodiscard]] bool has_super(GroupNo g) const;
  // The block with the copy of the superblock in that group.
  [[nodiscard]] BlockNo super_block(GroupNo g) const;
  // The block that holds descriptor block `index` of the copy in `g`; group 0 is the primary. With meta_bg the blocks
  // from first_meta_bg on lie in their own groups, and `g` chooses the copy: 0 the first group of the meta group, any
  // other the second.
  [[nodiscard]] BlockNo desc_block(uint32_t index, GroupNo g) const;
  // How many blocks at the group's begin hold the superblock, the descriptors and the blocks reserved for them.
  [[nodiscard]] uint32_t super_and_desc_blocks(GroupNo g) const;
};

// Checks whether the superblock can be gone by at all, and derives the geometry. `image_size` in bytes.
// Errors: what makes it unusable, in words ("s_inode_size is 77"): truncated when the image is too short for it,
// unknown_feature, or no_superblock.
[[nodiscard]] Result<Geometry> derive_geometry(const ext2_super_block& super, uint64_t image_size);

// Of the Hurd, with a feature that it does not have and that Linux does not take from it: no system mounts it.
[[nodiscard]] inline bool is_nobodys(const Geometry& g, const ext2_super_block& super) {
  return super.s_creator_os == EXT2_OS_HURD && g.has_incompat(EXT4_FEATURE_INCOMPAT_64BIT | EXT4_FEATURE_INCOMPAT_EA_INODE);
}

// The features' names as in ext4(5), by feature set and bit; unknown ones as FEATURE_C7 and the like.
[[nodiscard]] std::vector<std::string> feature_names(uint32_t compat, uint32_t incompat, uint32_t ro_compat);

}  // namespace extscrub
