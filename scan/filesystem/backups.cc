#include "scan/filesystem/backups.h"

#include <fmt/format.h>

#include "scan/format/checksum.h"
#include "scan/format/superblock.h"

namespace extscrub {

namespace {

void compare_superblock(const FileSystem& fs, const ext2_super_block& copy, BackupFacts& facts) {
  const ext2_super_block& ours = fs.super;
  const auto differs = [&](const char* field, uint64_t expected, uint64_t found) {
    if (expected == found || !facts.field.empty()) return;
    facts.field = field;
    facts.expected = fmt::to_string(expected);
    facts.found = fmt::to_string(found);
  };
  differs("s_magic", EXT2_SUPER_MAGIC, copy.s_magic);
  differs("s_log_block_size", ours.s_log_block_size, copy.s_log_block_size);
  differs("s_blocks_count", ours.s_blocks_count, copy.s_blocks_count);
  differs("s_blocks_count_hi", ours.s_blocks_count_hi, copy.s_blocks_count_hi);
  differs("s_inodes_count", ours.s_inodes_count, copy.s_inodes_count);
  differs("s_first_data_block", ours.s_first_data_block, copy.s_first_data_block);
  differs("s_blocks_per_group", ours.s_blocks_per_group, copy.s_blocks_per_group);
  differs("s_clusters_per_group", ours.s_clusters_per_group, copy.s_clusters_per_group);
  differs("s_inodes_per_group", ours.s_inodes_per_group, copy.s_inodes_per_group);
  differs("s_inode_size", ours.s_inode_size, copy.s_inode_size);
  differs("s_desc_size", ours.s_desc_size, copy.s_desc_size);
  if (copy.s_feature_ro_compat & EXT4_FEATURE_RO_COMPAT_METADATA_CSUM)
    differs("s_checksum", superblock_checksum(copy), copy.s_checksum);
}

void compare_descriptors(const FileSystem& fs, BackupFacts& facts) {
  const Geometry& g = fs.geometry;
  std::vector<std::byte> block(g.block_size);
  for (uint32_t index = 0; index < std::min(g.desc_blocks, g.first_meta_bg); ++index) {
    const BlockNo at = g.desc_block(index, facts.group);
    if (!g.contains(at) || !fs.blocks->read(at, block)) continue;
    for (uint32_t i = 0; i < g.desc_per_block; ++i) {
      const GroupNo group(index * g.desc_per_block + i);
      if (group.value >= g.groups) break;
      const GroupDesc copy = decode_group_desc(g, fs.super, group, Bytes(block).subspan(size_t{i} * g.desc_size, g.desc_size));
      const GroupDesc& ours = fs.groups[group.value];
      if (copy.block_bitmap != ours.block_bitmap || copy.inode_bitmap != ours.inode_bitmap ||
          copy.inode_table != ours.inode_table)
        facts.other_locations.push_back(group);
    }
  }
}

}  // namespace

std::vector<BackupFacts> read_backups(const FileSystem& fs) {
  const Geometry& g = fs.geometry;
  std::vector<BackupFacts> out;
  for (GroupNo group(1); group.value < g.groups; ++group) {
    if (!g.has_super(group) || g.super_block(group) == fs.super_block) continue;
    BackupFacts facts;
    facts.group = group;
    facts.block = g.super_block(group);
    if (auto copy = read_superblock(fs, group)) {
      compare_superblock(fs, *copy, facts);
      if (out.empty() && facts.field.empty()) compare_descriptors(fs, facts);
    } else {
      facts.field = "s_magic";
      facts.found = text_of(copy.error());
    }
    out.push_back(std::move(facts));
  }
  return out;
}

}  // namespace extscrub
