// Blocks that go out together: one set is the log, one a wave of those that go to their places. A block is one value on
// its way, with its bytes, whether it has gone out, and its receipt. For one thread.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "writeback/commit/commit_report.h"
#include "writeback/device/write_plan.h"

namespace extscrub {

struct CommitBlock {
  StagedBlock bytes;  // those of the log have no bytes from before
  Receipt receipt;
  bool released = false;  // has gone out: the new bytes are what the device is to hold
};

// `block` with a receipt that knows its bytes.
[[nodiscard]] CommitBlock make_commit_block(const StagedBlock& block, BufferKind kind);

class WriteSet {
 public:
  explicit WriteSet(BufferKind kind) : kind_(kind) {}

  // Ascending by number.
  void add(CommitBlock block) { blocks_.push_back(std::move(block)); }
  // Cuts what was added into writes.
  void plan(const ImageShape& shape);

  [[nodiscard]] bool is_log() const { return kind_ == BufferKind::log; }
  [[nodiscard]] std::vector<CommitBlock>& blocks() { return blocks_; }
  [[nodiscard]] const std::vector<CommitBlock>& blocks() const { return blocks_; }
  [[nodiscard]] std::vector<Piece>& pieces() { return pieces_; }
  [[nodiscard]] const std::vector<Piece>& pieces() const { return pieces_; }
  [[nodiscard]] std::span<CommitBlock> blocks_of(const Piece& piece) {
    return std::span(blocks_).subspan(piece.first, piece.count);
  }

  // The first block with bytes at or behind byte `at` of the device; one past the last when there is none.
  [[nodiscard]] size_t first_at(uint64_t at, const ImageShape& shape) const;

  // Null when the set has no such block.
  [[nodiscard]] const CommitBlock* find(BlockNo block) const;

 private:
  BufferKind kind_;
  std::vector<CommitBlock> blocks_;
  std::vector<Piece> pieces_;
};

}  // namespace extscrub
