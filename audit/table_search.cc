#include "audit/table_search.h"

#include <algorithm>

#include "scan/checksum.h"
#include "scan/inode.h"

namespace extscrub {

bool looks_like_table(const FileSystem& fs, GroupNo group, BlockNo at) {
  const Geometry& g = fs.geometry;
  std::vector<std::byte> block(g.block_size);
  uint32_t good = 0, bad = 0;
  for (uint32_t i = 0; i < g.inodes_per_group; ++i) {
    const uint64_t offset = uint64_t{i} * g.inode_size;
    if (offset % g.block_size == 0 && !fs.blocks->read(at + (offset >> g.block_bits), block)) return false;
    const Bytes raw = Bytes(block).subspan(offset % g.block_size, g.inode_size);
    const InodeNo ino = g.group_first_inode(group) + i;
    const Inode inode(g, ino, raw);
    if (ino.value == EXT2_ROOT_INO && inode.type() != FileType::directory) return false;
    if (inode.is_blank()) continue;
    const bool sealed = !g.metadata_csum() || stored_inode_checksum(g, raw) == inode_checksum(g, ino, raw);
    const bool reserved = ino.value < g.first_inode;
    if (!sealed || (!reserved && inode.type() == FileType::unknown))
      ++bad;
    else if (inode.base().i_links_count > 0)
      ++good;
  }
  constexpr uint32_t kGoodForOneBad = 8;
  return good > 0 && bad * kGoodForOneBad <= good;
}

bool is_vacant(const FileSystem& fs, GroupNo group, MetadataKind kind, BlockNo first, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i)
    if (const MetadataExtent* e = fs.metadata.find(first + i); e && !(e->kind == kind && e->group == group)) return false;
  return true;
}

std::optional<BlockNo> find_table(const FileSystem& fs, GroupNo group, std::span<const std::vector<GroupDesc>> copies) {
  const Geometry& g = fs.geometry;
  const GroupDesc& d = fs.groups[group.value];
  std::vector<BlockNo> guesses;
  for (const auto& copy : copies)
    if (copy[group.value].readable) guesses.push_back(copy[group.value].inode_table);
  // Behind the group's bitmaps, or behind the table of the group before, or in front of that of the group behind.
  guesses.push_back(g.group_first(group) + g.super_and_desc_blocks(group) + 2);
  guesses.push_back(d.inode_bitmap + 1);
  if (group.value > 0) guesses.push_back(fs.groups[group.value - 1].inode_table + g.itable_blocks);
  if (group.value + 1 < g.groups) {
    const BlockNo next = fs.groups[group.value + 1].inode_table;
    if (next.value > g.itable_blocks) guesses.emplace_back(next.value - g.itable_blocks);
  }
  // With flex_bg the bitmaps of several groups come before their tables, or the room for them.
  if (const uint32_t flex = fs.super.s_log_groups_per_flex; flex > 0 && flex < 32) {
    guesses.push_back(d.inode_bitmap + std::min(g.groups, 1u << flex));
    guesses.push_back(d.inode_bitmap + (1u << flex));
  }
  const auto fits = [&](BlockNo at) {
    return at != d.inode_table && valid_location(g, group, at, g.itable_blocks) && looks_like_table(fs, group, at) &&
           is_vacant(fs, group, MetadataKind::inode_table, at, g.itable_blocks);
  };
  for (const BlockNo at : guesses)
    if (fits(at)) return at;
  // The first table is known by the root directory in its first block, and by the checksums not to be another image's.
  if (group.value != 0 || !g.metadata_csum()) return {};
  for (BlockNo at = g.group_first(group); at < g.group_first(group) + g.blocks_per_group && g.contains(at); ++at)
    if (fits(at)) return at;
  return {};
}

std::vector<std::vector<GroupDesc>> descriptor_copies(const FileSystem& fs) {
  constexpr size_t kEnough = 3;
  std::vector<std::vector<GroupDesc>> copies;
  for (GroupNo group(1); group.value < fs.geometry.groups && copies.size() < kEnough; ++group)
    if (fs.geometry.has_super(group)) copies.push_back(read_descriptors(fs, group));
  return copies;
}

}  // namespace extscrub
