#include "writeback/commit/memory_truth.h"

#include <algorithm>
#include <cassert>

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
  for (size_t i = first_at(piece.extent.at); i < blocks_.size(); ++i) {
    const Extent extent = shape_.extent_of(blocks_[i].block);
    if (extent.at >= piece.extent.end()) break;
    if (released_[i]) lay_over(extent, blocks_[i].after, piece.extent, out);
  }
  for (const HeldRange* range : held_) lay_over(range->extent, range->truth(), piece.extent, out);
}

size_t MemoryTruth::first_at(uint64_t at) const {
  const auto ends_before = [&](const StagedBlock& block) { return shape_.extent_of(block.block).end() <= at; };
  return static_cast<size_t>(std::ranges::partition_point(blocks_, ends_before) - blocks_.begin());
}

}  // namespace extscrub
