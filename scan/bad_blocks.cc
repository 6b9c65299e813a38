#include "scan/bad_blocks.h"

#include <algorithm>

#include "scan/block_map.h"
#include "scan/inode_table.h"

namespace extscrub {

bool must_be_good(const FileSystem& fs, BlockNo block) {
  const MetadataExtent* extent = fs.metadata.find(block);
  if (extent == nullptr) return false;
  switch (extent->kind) {
    case MetadataKind::superblock: return extent->group.value == 0;
    case MetadataKind::descriptors: return extent->group.value == 0 || fs.geometry.has_incompat(EXT2_FEATURE_INCOMPAT_META_BG);
    case MetadataKind::inode_table:
    case MetadataKind::mmp: return true;
    case MetadataKind::block_bitmap:
    case MetadataKind::inode_bitmap: return false;
  }
  return false;
}

namespace {

bool is_given_up(const FileSystem& fs, BlockNo block) {
  const Geometry& g = fs.geometry;
  const MetadataExtent* extent = fs.metadata.find(block);
  if (extent == nullptr || extent->kind != MetadataKind::inode_table) return false;
  const uint32_t per_block = g.block_size / g.inode_size;
  const uint32_t first = static_cast<uint32_t>(block - extent->first) * per_block;
  const GroupNo group = extent->group;
  const BlockNo at = fs.groups[group.value].inode_bitmap;
  std::vector<std::byte> bitmap(g.block_size), table(g.block_size);
  const bool reserved = group.value == 0 && first < EXT2_JOURNAL_INO;  // the root and the journal among them
  if (reserved || !valid_location(g, group, at, 1) || !fs.blocks->read(at, bitmap) || !fs.blocks->read(block, table)) return false;
  bool empty = false;
  for (uint32_t i = 0; i < per_block && first + i < g.inodes_per_group; ++i) {
    if (!(std::to_integer<unsigned>(bitmap[(first + i) / 8]) >> (first + i) % 8 & 1)) return false;
    empty = empty || Inode(g, g.group_first_inode(group) + (first + i), Bytes(table).subspan(size_t{i} * g.inode_size, g.inode_size)).base().i_links_count == 0;
  }
  return empty;
}

}  // namespace

BadBlocks read_bad_blocks(const FileSystem& fs) {
  std::vector<std::byte> raw(fs.geometry.inode_size);
  const InodeNo ino(EXT2_BAD_INO);
  if (!read_inode(fs, ino, raw)) return {};
  const Inode inode(fs.geometry, ino, raw);
  if (inode.block_area_is_blank()) return {};
  RunList list;
  MapWalker(fs).walk(inode, list);
  BadBlocks blocks;
  for (const Run& run : list.runs)
    for (uint32_t i = 0; i < run.count; ++i)
      (must_be_good(fs, run.physical + i) && !is_given_up(fs, run.physical + i) ? blocks.in_metadata : blocks.listed).push_back(run.physical + i);
  std::ranges::sort(blocks.listed);
  std::ranges::sort(blocks.in_metadata);
  return blocks;
}

}  // namespace extscrub
