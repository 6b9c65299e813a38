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
      (must_be_good(fs, run.physical + i) ? blocks.in_metadata : blocks.listed).push_back(run.physical + i);
  std::ranges::sort(blocks.listed);
  std::ranges::sort(blocks.in_metadata);
  return blocks;
}

}  // namespace extscrub
