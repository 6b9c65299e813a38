// Which bytes of the device a commit writes, in which pieces: adjacent blocks are merged, and blocks smaller than a
// sector (or askew to it, with an odd --offset) are widened to whole sectors, and two pieces of one wave never share a
// sector, so that no two writes in flight do. Pure: any thread.
#pragma once

#include <span>
#include <vector>

#include "scan/image/overlay.h"

namespace extscrub {

// The part of the device that is the image's, and how it may be written.
struct Extent {
  uint64_t at = 0, length = 0;  // bytes on the device
  [[nodiscard]] uint64_t end() const { return at + length; }
};

struct ImageShape {
  Extent image;             // nothing outside is written
  uint32_t block_size = 0;  // bytes
  uint32_t alignment = 1;   // bytes; of the device

  // Where the block is; cut at the image's end.
  [[nodiscard]] Extent extent_of(BlockNo block) const;

  // Widened to whole sectors, but not over the image's ends.
  [[nodiscard]] Extent widened(Extent extent) const;

  [[nodiscard]] bool aligned(Extent extent) const { return extent.at % alignment == 0 && extent.length % alignment == 0; }
};

// One write. The blocks [first, first + count) of those it was planned for have bytes in it.
struct Piece {
  Extent extent;
  size_t first = 0, count = 0;
  bool whole = true;            // blocks fill it; otherwise there are gaps, and `base` is what the device has there
  bool second_wave = false;     // shares a sector with a piece before it: goes out when that one is done
  std::vector<std::byte> base;  // filled by whoever reads the device; empty when `whole`
};

inline constexpr uint64_t kMaxPiece = 256 * 1024;  // bytes; a single block is at most 64 KiB and its widening

// `blocks` ascending.
[[nodiscard]] std::vector<Piece> plan_pieces(std::span<const BlockNo> blocks, const ImageShape& shape);

[[nodiscard]] std::vector<Extent> extents_of(std::span<const Piece> pieces);

}  // namespace extscrub
