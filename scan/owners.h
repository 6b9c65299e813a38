// Who uses the blocks that more than one uses: the second pass, made only when there are any.
#pragma once

#include <string>
#include <vector>

#include "scan/inode_scan.h"

namespace extscrub {

struct Owner {
  BlockNo first;        // first block of the run that is claimed more than once
  uint32_t count = 0;   // blocks
  InodeNo inode;        // 0: the file system's own metadata, `metadata` says which
  uint64_t logical = 0; // in the inode's file; meaningless for tree nodes and attribute blocks
  enum class Use : uint8_t { data, map_node, ea_block, metadata } use{};
  MetadataKind metadata{};
  GroupNo group;        // whose metadata it is
};

// All owners of the clusters in scan.claimed_again, sorted by block, then inode. Errors: cancelled.
[[nodiscard]] Result<std::vector<Owner>> find_owners(const FileSystem& fs, const InodeScan& scan, Progress* progress);

}  // namespace extscrub
