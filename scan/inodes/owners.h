// Who uses certain blocks: the second pass over all inodes, made only when there is something to explain, such as
// blocks that more than one uses or that cannot be read.
#pragma once

#include <string>
#include <vector>

#include "scan/inodes/inode_scan.h"

namespace extscrub {

struct Owner {
  BlockNo first;        // first block of the run that was asked for
  uint32_t count = 0;   // blocks
  InodeNo inode;        // 0: the file system's own metadata, `metadata` says which
  uint64_t logical = 0; // in the inode's file; meaningless for tree nodes and attribute blocks
  enum class Use : uint8_t { data, map_node, ea_block, metadata } use{};
  MetadataKind metadata{};
  GroupNo group;        // whose metadata it is
  bool unwritten = false;  // data that reads as zeros, whatever the blocks hold
  uint64_t file_size = 0;  // bytes; of the inode
};

// The first run of blocks in [first, end) that are asked for; nothing when there is none. Called from many threads.
using FindBlocks = std::function<std::optional<BlockRange>(BlockNo first, BlockNo end)>;

// Blocks of the clusters in scan.claimed_again. Both arguments have to outlive the result.
[[nodiscard]] FindBlocks shared_blocks(const Geometry& geometry, const InodeScan& scan);
// Blocks of `ranges`, which are sorted, do not overlap, and have to outlive the result.
[[nodiscard]] FindBlocks blocks_in(const std::vector<BlockRange>& ranges);

// All owners of the blocks that are asked for, sorted by block, then inode. Errors: cancelled.
[[nodiscard]] Result<std::vector<Owner>> find_owners(const FileSystem& fs, const InodeScan& scan, const FindBlocks& wanted,
                                                     Progress* progress);

}  // namespace extscrub
