// Cuts an inode's block map in an overlay: what lies behind a logical block goes, tree nodes that became empty too.
// For one thread.
#pragma once

#include <vector>

#include "scan/map/block_map.h"

namespace extscrub {

struct Cut {
  std::vector<Run> freed;   // blocks that the inode no longer uses: data and tree nodes
  uint64_t clusters = 0;    // how many clusters of the inode they are
};

// Cuts the map of the raw inode `ino` (in the overlay; i_block is changed in place, the inode is not sealed) to `keep`
// logical blocks. The map must be one that MapWalker found whole and without defects. Errors: the overlay.
[[nodiscard]] Result<Cut> cut_map(const FileSystem& fs, Overlay& overlay, InodeNo ino, MutableBytes raw, uint64_t keep);

}  // namespace extscrub
