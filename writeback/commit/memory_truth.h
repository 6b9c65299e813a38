// What the device is to hold, as memory knows it: the staged blocks that have gone out so far, over what was read
// before the first write, with the superblock (and the journal's) as last written over both. Everything that is written
// or compared is composed here; nothing that was ever written is taken from the device again. For one thread at a time:
// the commit's, then the error worker's.
#pragma once

#include <span>
#include <vector>

#include "writeback/device/aligned_buffer.h"
#include "writeback/device/write_plan.h"

namespace extscrub {

// Bytes that only go out by themselves, in an order of their own: the primary superblock, the journal's superblock.
struct HeldRange {
  BlockNo block;  // for reports
  Extent extent;  // on the device
  Piece piece;    // the write that carries it
  MutableBytes truth() { return bytes; }
  Bytes truth() const { return bytes; }
  // The first 1024 bytes: the range is a superblock, or a block that begins with a journal's.
  std::span<std::byte, kSuperblockSize> superblock() { return truth().first<kSuperblockSize>(); }
  std::vector<std::byte> bytes;
  uint64_t written_hash = 0;  // receipt_hash() of the range as it was last written, or read before the first write
  AlignedBuffer out;  // of the piece's length
};

class MemoryTruth {
 public:
  // `blocks` ascending; none of them has gone out yet. The spans must outlive the object.
  MemoryTruth(std::span<const StagedBlock> blocks, const ImageShape& shape)
      : blocks_(blocks), shape_(shape), released_(blocks.size()) {}

  // From now on the range's truth lies over everything. The object must outlive this one.
  void hold(const HeldRange& range) { held_.push_back(&range); }

  // The block goes out: from now on its new bytes are what the device is to hold.
  void release(size_t block) { released_[block] = true; }

  // Fills `out` with the piece's bytes.
  void compose(const Piece& piece, MutableBytes out) const;

  // The first block of the request that has bytes at or behind `at`.
  [[nodiscard]] size_t first_at(uint64_t at) const;

 private:
  std::span<const StagedBlock> blocks_;
  ImageShape shape_;
  std::vector<bool> released_;
  std::vector<const HeldRange*> held_;
};

}  // namespace extscrub
