// A block that only goes out by itself, in an order of its own: the primary superblock, the journal's superblock, the
// block of multiple-mount protection. It is changed in memory, then written. For one thread at a time: the commit's,
// then the error worker's.
#pragma once

#include <optional>

#include "scan/format/ondisk.h"
#include "writeback/commit/write_set.h"
#include "writeback/device/aligned_buffer.h"
#include "writeback/device/write_device.h"
#include "writeback/mark/error_latch.h"

namespace extscrub {

class Medium;

class HeldBlock {
 public:
  // `extent`: of the block, what is held; `kind`: of the receipts of its writes; nothing: there are none.
  HeldBlock(BlockNo block, Extent extent, const ImageShape& shape, std::optional<BufferKind> kind);

  // What it is on the device now is what it is to hold: 0, or the errno. `scratch`: bytes of the piece at least.
  [[nodiscard]] int load_from(WriteDevice& device, MutableBytes scratch);

  [[nodiscard]] BlockNo block() const { return block_; }
  [[nodiscard]] Extent extent() const { return extent_; }
  // The write that carries it.
  [[nodiscard]] const Piece& piece() const { return piece_; }

  // What the device is to hold there.
  [[nodiscard]] MutableBytes truth() { return bytes_; }
  [[nodiscard]] Bytes truth() const { return bytes_; }
  void set(Bytes bytes);  // from its beginning on
  // The first 1024 bytes: it is a superblock, or begins with a journal's.
  [[nodiscard]] std::span<std::byte, kSuperblockSize> superblock() { return truth().first<kSuperblockSize>(); }

  // The block as it is staged, where nothing else in it changes.
  std::optional<CommitBlock> staged;

  // These two: 0, or the errno. `kind`: of the receipt.
  [[nodiscard]] int put(Medium& medium, std::optional<BufferKind> kind);
  [[nodiscard]] int put(Medium& medium) { return put(medium, kind_); }
  [[nodiscard]] int reads_back(Medium& medium) const;

  // These latch what fails. What is there already is not written again: a write that lands elsewhere could not be seen
  // then.
  [[nodiscard]] bool write(Medium& medium, CommitStep step);
  [[nodiscard]] bool check(Medium& medium, CommitStep step) const;
  [[nodiscard]] bool write_durably(Medium& medium, CommitStep step);

  // It holds by now what is staged.
  void finish_receipt(CommitReport& report);

 private:
  void add_receipt(CommitReport& report, BufferKind kind, int error);

  BlockNo block_;
  Extent extent_;
  std::optional<BufferKind> kind_;
  Piece piece_;
  std::vector<std::byte> bytes_;
  uint64_t written_hash_ = 0;  // receipt_hash() of it as it was last written, or read before the first write
  AlignedBuffer out_;          // of the piece's length
};

}  // namespace extscrub
