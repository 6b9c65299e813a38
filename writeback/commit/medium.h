// The image as a commit writes it: what it is to hold, the device below, and the report that counts and receipts all
// that goes there. Every failure ends in the latch. For one thread at a time: the commit's, then the error worker's.
#pragma once

#include "writeback/commit/memory_truth.h"
#include "writeback/commit/prepared.h"
#include "writeback/mark/error_latch.h"

namespace extscrub {

class Medium {
 public:
  // All must outlive it.
  Medium(Prepared& prepared, WriteDevice& device, ErrorLatch& latch, CommitReport& report);

  // Where the image still has the size that it was opened with: otherwise that is a failure.
  [[nodiscard]] bool kept_size();
  [[nodiscard]] bool is_inside(Extent extent) const { return extent.end() <= device_.size_now(); }

  // 0, or the errno; what is waited for is told.
  [[nodiscard]] int write(uint64_t at, Bytes bytes);
  [[nodiscard]] int read(uint64_t at, MutableBytes out);
  // What was complete by now is durable then, or it is not known whether it is, and no later flush tells.
  [[nodiscard]] int flush();

  // A failed flush has lost something and does not say what; the kernel reports it once, so a second one proves
  // nothing.
  [[nodiscard]] bool make_durable(CommitStep step);

  void fail(int error, CommitStep step, std::optional<BlockNo> block = std::nullopt) { latch_.record({error, step, block}); }
  [[nodiscard]] bool failed() const { return latch_.set(); }

  [[nodiscard]] const MemoryTruth& truth() const { return truth_; }
  [[nodiscard]] CommitReport& report() { return report_; }
  [[nodiscard]] WriteDevice& device() { return device_; }
  [[nodiscard]] ErrorLatch& latch() { return latch_; }
  // For one block at a time.
  [[nodiscard]] MutableBytes scratch(size_t length) { return prepared_.scratch.first(length); }

 private:
  Prepared& prepared_;
  WriteDevice& device_;
  ErrorLatch& latch_;
  CommitReport& report_;
  MemoryTruth truth_;
};

}  // namespace extscrub
