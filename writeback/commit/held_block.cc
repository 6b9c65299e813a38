#include "writeback/commit/held_block.h"

#include <algorithm>
#include <cerrno>
#include <ranges>

#include "writeback/commit/medium.h"
#include "writeback/undo_log/receipt_hash.h"

namespace extscrub {

HeldBlock::HeldBlock(BlockNo block, Extent extent, const ImageShape& shape, std::optional<BufferKind> kind)
    : block_(block), extent_(extent), kind_(kind), bytes_(extent.length) {
  piece_.extent = shape.widened(extent);
  piece_.whole = piece_.extent.length == extent.length;
  out_ = AlignedBuffer(piece_.extent.length);
}

int HeldBlock::load_from(WriteDevice& device, MutableBytes scratch) {
  const MutableBytes bytes = scratch.first(piece_.extent.length);
  if (const int error = read_fully(device, piece_.extent.at, bytes)) return error;
  if (!piece_.whole) piece_.base.assign(bytes.begin(), bytes.end());
  set(bytes.subspan(extent_.at - piece_.extent.at, extent_.length));
  written_hash_ = receipt_hash(bytes_);
  return 0;
}

void HeldBlock::set(Bytes bytes) { std::ranges::copy(bytes, bytes_.begin()); }

int HeldBlock::put(Medium& medium, std::optional<BufferKind> kind) {
  if (!medium.is_inside(piece_.extent)) return EIO;  // it would be a file of its own
  const MutableBytes out = out_.bytes();
  medium.truth().compose(piece_, out);
  const int error = medium.write(piece_.extent.at, out);
  if (error == 0) medium.report().bytes_written += out.size();
  if (kind) add_receipt(medium.report(), *kind, error);
  return error;
}

void HeldBlock::add_receipt(CommitReport& report, BufferKind kind, int error) {
  Receipt receipt;
  receipt.block = block_;
  receipt.kind = kind;
  receipt.before_hash = written_hash_;
  receipt.after_hash = written_hash_ = receipt_hash(bytes_);
  receipt.submitted = true;
  receipt.completed = error == 0;
  receipt.error = error;
  report.superblock_receipts.push_back(receipt);
}

int HeldBlock::reads_back(Medium& medium) const {
  const MutableBytes is = medium.scratch(extent_.length);
  if (const int error = medium.read(extent_.at, is)) return error;
  if (!std::ranges::equal(is, bytes_)) return EIO;
  for (Receipt& receipt : std::views::reverse(medium.report().superblock_receipts)) {
    if (receipt.block != block_) continue;
    receipt.read_back = true;
    break;
  }
  return 0;
}

bool HeldBlock::write(Medium& medium, CommitStep step) {
  if (medium.failed()) return false;
  if (kind_ && written_hash_ == receipt_hash(bytes_)) return true;
  const int error = put(medium);
  if (error != 0) medium.fail(error, step, block_);
  return error == 0;
}

bool HeldBlock::check(Medium& medium, CommitStep step) const {
  const int error = reads_back(medium);
  if (error != 0) medium.fail(error, step, block_);
  return error == 0;
}

bool HeldBlock::write_durably(Medium& medium, CommitStep step) {
  return write(medium, step) && medium.make_durable(step) && check(medium, step);
}

void HeldBlock::finish_receipt(CommitReport& report) {
  if (!staged) return;
  Receipt& receipt = staged->receipt;
  receipt.submitted = receipt.completed = receipt.read_back = true;
  receipt.flush = report.flushes;
  ++report.blocks_written;
}

}  // namespace extscrub
