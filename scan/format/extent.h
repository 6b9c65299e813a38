// The entries of an extent tree, decoded: struct ext4_extent and ext4_extent_idx. Stateless: any thread.
#pragma once

#include "scan/format/ondisk.h"
#include "scan/format/types.h"

namespace extscrub {

// Blocks that follow each other in the file and in the image.
struct Run {
  uint64_t logical = 0;  // logical block of the first
  BlockNo physical;
  uint32_t count = 0;      // blocks
  bool unwritten = false;  // allocated, reads as zeros
};

// ee_len up to EXT_INIT_MAX_LEN counts written blocks; a longer one unwritten blocks, by what is over.
[[nodiscard]] inline Run run_of(const ext3_extent& e) {
  const bool unwritten = e.ee_len > EXT_INIT_MAX_LEN;
  return {e.ee_block, BlockNo(uint64_t{e.ee_start_hi} << 32 | e.ee_start),
          unwritten ? e.ee_len - uint32_t{EXT_INIT_MAX_LEN} : e.ee_len, unwritten};
}

// The node below an index entry.
[[nodiscard]] inline BlockNo child_of(const ext3_extent_idx& e) { return BlockNo(uint64_t{e.ei_leaf_hi} << 32 | e.ei_leaf); }

}  // namespace extscrub
