#include "writeback/device/write_plan.h"

#include <algorithm>

namespace extscrub {

Extent ImageShape::extent_of(BlockNo block) const {
  const uint64_t at = image.at + block.value * block_size;
  return {at, std::min<uint64_t>(block_size, image.end() - at)};
}

Extent ImageShape::widened(Extent extent) const {
  const uint64_t begin = std::max(image.at, extent.at - extent.at % alignment);
  const uint64_t end = std::min(image.end(), (extent.end() + alignment - 1) / alignment * alignment);
  return {begin, end - begin};
}

std::vector<Piece> plan_pieces(std::span<const BlockNo> blocks, const ImageShape& shape) {
  std::vector<Piece> pieces;
  uint64_t filled = 0;  // bytes of the last piece that blocks fill
  const auto close_piece = [&] {
    if (!pieces.empty()) pieces.back().whole = filled == pieces.back().extent.length;
  };
  for (size_t i = 0; i < blocks.size(); ++i) {
    const Extent block = shape.extent_of(blocks[i]);
    const Extent wide = shape.widened(block);
    const bool shares = !pieces.empty() && wide.at < pieces.back().extent.end();
    const bool touches = !pieces.empty() && wide.at == pieces.back().extent.end();
    if (!(shares || touches) || wide.end() - pieces.back().extent.at > kMaxPiece) {
      close_piece();
      // A long run of blocks askew to the sectors: each piece shares one with the next, so every other one waits.
      const bool second_wave = shares && !pieces.back().second_wave;
      pieces.push_back({.extent = wide, .first = i, .count = 0, .whole = true, .second_wave = second_wave, .base = {}});
      filled = 0;
    }
    Piece& piece = pieces.back();
    piece.extent.length = wide.end() - piece.extent.at;
    piece.count = i + 1 - piece.first;
    filled += block.length;
  }
  close_piece();
  return pieces;
}

std::vector<Extent> extents_of(std::span<const Piece> pieces) {
  std::vector<Extent> extents;
  for (const Piece& piece : pieces) extents.push_back(piece.extent);
  return extents;
}

}  // namespace extscrub
