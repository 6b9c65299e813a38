#include "scan/bad_blocks.h"

#include <algorithm>

#include "scan/block_map.h"
#include "scan/xattr.h"

namespace extscrub {

namespace {

class BlockList : public RunSink {
 public:
  void data(const Run& run, bool) override {
    for (uint32_t i = 0; i < run.count; ++i) blocks.push_back(run.physical + i);
  }
  void node(BlockNo) override {}
  std::vector<BlockNo> blocks;
};

}  // namespace

std::vector<BlockNo> read_bad_blocks(const FileSystem& fs) {
  std::vector<std::byte> raw(fs.geometry.inode_size);
  const InodeNo ino(EXT2_BAD_INO);
  if (!read_inode(fs, ino, raw)) return {};
  const Inode inode(fs.geometry, ino, raw);
  if (std::ranges::all_of(inode.block_area(), [](std::byte b) { return b == std::byte{0}; })) return {};
  BlockList list;
  MapWalker(fs).walk(inode, list);
  std::ranges::sort(list.blocks);
  return std::move(list.blocks);
}

}  // namespace extscrub
