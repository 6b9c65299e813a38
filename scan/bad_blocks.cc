#include "scan/bad_blocks.h"

#include <algorithm>

#include "scan/block_map.h"
#include "scan/inode_table.h"

namespace extscrub {

std::vector<BlockNo> read_bad_blocks(const FileSystem& fs) {
  std::vector<std::byte> raw(fs.geometry.inode_size);
  const InodeNo ino(EXT2_BAD_INO);
  if (!read_inode(fs, ino, raw)) return {};
  const Inode inode(fs.geometry, ino, raw);
  if (inode.block_area_is_blank()) return {};
  RunList list;
  MapWalker(fs).walk(inode, list);
  std::vector<BlockNo> blocks;
  for (const Run& run : list.runs)
    for (uint32_t i = 0; i < run.count; ++i) blocks.push_back(run.physical + i);
  std::ranges::sort(blocks);
  return blocks;
}

}  // namespace extscrub
