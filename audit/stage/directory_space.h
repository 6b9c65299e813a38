// The blocks of one directory: which they are, and how there come to be more or fewer of them. A directory that is laid
// out anew has no holes: its clusters follow each other in the order that they had.
// For one thread.
#pragma once

#include <vector>

#include "audit/stage/block_allocator.h"
#include "scan/map/block_map.h"

namespace extscrub {

class DirectorySpace {
 public:
  // `overlay`: what fs.blocks reads; `raw`: the inode's bytes in it.
  DirectorySpace(const FileSystem& fs, Overlay& overlay, BlockAllocator& blocks, InodeNo ino, MutableBytes raw);

  // The map as it was read. Without defects that hide blocks it may be written anew.
  [[nodiscard]] const std::vector<Run>& runs() const { return runs_; }
  [[nodiscard]] bool whole() const { return whole_; }
  [[nodiscard]] bool has_holes() const;
  // Logical blocks up to the last mapped one.
  [[nodiscard]] uint64_t count() const { return runs_.empty() ? 0 : runs_.back().logical + runs_.back().count; }

  // The directory gets exactly `count` blocks, none of them a hole; its map, i_size and i_blocks are written and the
  // inode is sealed. False: there is no space, and nothing has changed.
  [[nodiscard]] Result<bool> resize(uint64_t count);
  // As resize(), with none of the blocks that it has where there is space for that: until the inode is written, the old
  // directory is whole, and from then on the new one. For when names move from block to block.
  [[nodiscard]] Result<bool> replace(uint64_t count);
  // The block, which runs() must map.
  [[nodiscard]] BlockNo block(uint64_t logical) const;

 private:
  [[nodiscard]] std::vector<BlockNo> clusters() const;
  [[nodiscard]] Result<bool> take(std::vector<BlockNo> have, uint64_t count);
  void read_map();

  const FileSystem& fs_;
  Overlay& overlay_;
  BlockAllocator& blocks_;
  InodeNo ino_;
  MutableBytes raw_;
  std::vector<Run> runs_;
  std::vector<BlockNo> nodes_;
  bool whole_ = true;
  uint64_t clusters_ = 0;  // of the map, as counted
};

}  // namespace extscrub
