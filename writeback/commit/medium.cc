#include "writeback/commit/medium.h"

#include <cerrno>

namespace extscrub {

Medium::Medium(Prepared& prepared, WriteDevice& device, ErrorLatch& latch, CommitReport& report)
    : prepared_(prepared), device_(device), latch_(latch), report_(report), truth_(prepared.shape) {
  prepared.for_each_set([&](const WriteSet& set) { truth_.lay(set); });
  prepared.for_each_held([&](const HeldBlock& held) { truth_.hold(held); });
}

bool Medium::kept_size() {
  if (device_.size_now() == device_.size()) return true;
  fail(EIO, CommitStep::size);
  return false;
}

int Medium::write(uint64_t at, Bytes bytes) {
  ++report_.writes;
  const Waiting waiting(prepared_.request.waits, kWaitForWrite);
  return write_fully(device_, at, bytes);
}

int Medium::read(uint64_t at, MutableBytes out) {
  const Waiting waiting(prepared_.request.waits, kWaitForRead);
  return read_fully(device_, at, out);
}

int Medium::flush() {
  ++report_.flushes;
  const Waiting waiting(prepared_.request.waits, kWaitForFlush);
  const int error = device_.flush();
  const auto take = [&](Receipt& receipt) {
    if (!receipt.completed || receipt.flush != 0 || receipt.error != 0) return;
    receipt.error = error;
    if (error == 0) receipt.flush = report_.flushes;
  };
  prepared_.for_each_block([&](CommitBlock& block) { take(block.receipt); });
  for (Receipt& receipt : report_.superblock_receipts) take(receipt);
  return error;
}

bool Medium::make_durable(CommitStep step) {
  const int error = flush();
  if (error != 0) fail(error, step);
  return error == 0;
}

}  // namespace extscrub
