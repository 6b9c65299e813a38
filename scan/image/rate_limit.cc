#include "scan/image/rate_limit.h"

#include <algorithm>
#include <thread>

namespace extscrub {

namespace {

constexpr std::chrono::milliseconds kNap{50};  // how late a stop may be seen

}  // namespace

RateLimit::Clock::time_point RateLimit::reserve(uint64_t bytes) {
  const auto cost = std::chrono::duration<double>(static_cast<double>(bytes) / static_cast<double>(rate_));
  const std::lock_guard lock(mutex_);
  // Time in which nobody read is not saved up: it would be spent in one burst.
  const auto turn = std::max(free_, Clock::now());
  free_ = turn + std::chrono::duration_cast<Clock::duration>(cost);
  return turn;
}

void RateLimit::take(uint64_t bytes) {
  const auto turn = reserve(bytes);
  for (auto now = Clock::now(); now < turn; now = Clock::now()) {
    if (stop_ && stop_->load(std::memory_order_relaxed)) return;
    std::this_thread::sleep_for(std::min<Clock::duration>(turn - now, kNap));
  }
}

}  // namespace extscrub
