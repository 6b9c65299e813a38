// So many bytes a second: whoever reads waits here for its turn, so that a scrub leaves the disk to others.
// Any number of threads may share a limit.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>

namespace extscrub {

class RateLimit {
 public:
  using Clock = std::chrono::steady_clock;

  // `stop` ends all waiting, now and from then on; may be null.
  explicit RateLimit(uint64_t bytes_per_second, const std::atomic<bool>* stop = nullptr) : rate_(bytes_per_second), stop_(stop) {}

  // Returns when `bytes` more may be read: once the time is over that what was taken before is worth.
  void take(uint64_t bytes);

 private:
  [[nodiscard]] Clock::time_point reserve(uint64_t bytes);

  const uint64_t rate_;
  const std::atomic<bool>* const stop_;
  std::mutex mutex_;
  Clock::time_point free_{};  // when all that was taken is paid for
};

}  // namespace extscrub
