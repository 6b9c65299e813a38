// The error latch of a commit: the first failure sets it, nothing takes it back, and every submission asks it first.
// record() is for completion paths: no lock, no I/O, no allocation. Any thread may call anything.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "scan/format/types.h"

namespace extscrub {

// The step of a commit in which something failed.
enum class CommitStep : uint8_t { arm, log, write, flush, read_back, finish, size, mmp };

struct WriteFailure {
  int error = 0;  // errno
  CommitStep step{};
  std::optional<BlockNo> block;  // below 2^48, as every block of ext4; none for a flush
};

struct FailureSummary {
  WriteFailure first, last;
  uint64_t count = 0;
};

class ErrorLatch {
 public:
  // Set before anybody who waits is woken: whoever learns of a failure finds the latch set.
  void record(const WriteFailure& failure) noexcept {
    const uint64_t packed = pack(failure);
    count_.fetch_add(1);
    last_.store(packed);
    uint64_t none = 0;
    first_.compare_exchange_strong(none, packed);
    wake(kFailed);
  }

  [[nodiscard]] bool set() const noexcept { return first_.load() != 0; }

  // Until the first failure, or close().
  void wait() const noexcept { woken_.wait(0); }
  void close() noexcept { wake(kClosed); }

  // Asserts set(). Complete once nothing is in flight any more.
  [[nodiscard]] FailureSummary summary() const noexcept { return {unpack(first_.load()), unpack(last_.load()), count_.load()}; }

 private:
  static constexpr uint32_t kFailed = 1, kClosed = 2;
  static constexpr int kErrorShift = 52, kStepShift = 49, kHasBlockShift = 48;
  static constexpr uint64_t kBlockMask = (uint64_t{1} << kHasBlockShift) - 1;

  static uint64_t pack(const WriteFailure& f) noexcept {
    // One word, so that first and last are never seen half written. An errno is below 4096 and never 0 here.
    return static_cast<uint64_t>(f.error) << kErrorShift | static_cast<uint64_t>(f.step) << kStepShift |
           static_cast<uint64_t>(f.block.has_value()) << kHasBlockShift | (f.block ? f.block->value & kBlockMask : 0);
  }
  static WriteFailure unpack(uint64_t word) noexcept {
    WriteFailure f{static_cast<int>(word >> kErrorShift), static_cast<CommitStep>(word >> kStepShift & 7), {}};
    if ((word >> kHasBlockShift & 1) != 0) f.block = BlockNo(word & kBlockMask);
    return f;
  }
  void wake(uint32_t why) noexcept {
    woken_.fetch_or(why);
    woken_.notify_all();
  }

  std::atomic<uint64_t> first_{0}, last_{0}, count_{0};
  std::atomic<uint32_t> woken_{0};
};

}  // namespace extscrub
