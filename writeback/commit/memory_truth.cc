#include "writeback/commit/memory_truth.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "writeback/commit/held_block.h"

namespace extscrub {

namespace {

// Copies the bytes of `from`, which lies at `extent`, into `out` where the two overlap.
void lay_over(Extent extent, Bytes from, Extent target, MutableBytes out) {
  const uint64_t begin = std::max(extent.at, target.at);
  const uint64_t end = std::min(extent.end(), target.end());
  if (begin < end) std::memcpy(out.data() + (begin - target.at), from.data() + (begin - extent.at), end - begin);
}

}  // namespace

void MemoryTruth::compose(const Piece& piece, MutableBytes out) const {
  assert(piece.whole || piece.base.size() == piece.extent.length);
  if (!piece.whole) std::memcpy(out.data(), piece.base.data(), piece.base.size());
  for (const WriteSet* set : sets_) {
    const auto& blocks = set->blocks();
    for (size_t i = set->first_at(piece.extent.at, shape_); i < blocks.size(); ++i) {
      const Extent extent = shape_.extent_of(blocks[i].bytes.block);
      if (extent.at >= piece.extent.end()) break;
      if (blocks[i].released) lay_over(extent, blocks[i].bytes.after, piece.extent, out);
    }
  }
  for (const HeldBlock* held : held_) lay_over(held->extent(), held->truth(), piece.extent, out);
}

}  // namespace extscrub
