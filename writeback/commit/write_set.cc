#include "writeback/commit/write_set.h"

#include "writeback/undo_log/receipt_hash.h"

namespace extscrub {

namespace {

BlockNo number_of(const CommitBlock& block) { return block.bytes.block; }

}  // namespace

CommitBlock make_commit_block(const StagedBlock& block, BufferKind kind) {
  CommitBlock made{block, {}};
  made.receipt.block = block.block;
  made.receipt.kind = kind;
  made.receipt.before_hash = receipt_hash(block.before);
  made.receipt.after_hash = receipt_hash(block.after);
  return made;
}

void WriteSet::plan(const ImageShape& shape) {
  std::vector<BlockNo> numbers;
  for (const CommitBlock& block : blocks_) numbers.push_back(number_of(block));
  pieces_ = plan_pieces(numbers, shape);
}

size_t WriteSet::first_at(uint64_t at, const ImageShape& shape) const {
  const auto ends_before = [&](const CommitBlock& block) { return shape.extent_of(number_of(block)).end() <= at; };
  return static_cast<size_t>(std::ranges::partition_point(blocks_, ends_before) - blocks_.begin());
}

const CommitBlock* WriteSet::find(BlockNo block) const {
  const auto it = std::ranges::lower_bound(blocks_, block, {}, number_of);
  return it != blocks_.end() && number_of(*it) == block ? &*it : nullptr;
}

}  // namespace extscrub
