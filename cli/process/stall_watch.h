// Says on standard error that a write, flush or read of a commit does not come back, for how long, and what can be done
// about it: whoever is stuck in it cannot. begin_wait() and end_wait() belong to one thread; a thread of its own watches,
// from the first wait on.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "writeback/commit/commit.h"

namespace extscrub {

class StallWatch : public WaitObserver {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds kPatience{10};

  // `say` takes a whole line; it and `stopped` are called from the watching thread.
  StallWatch(std::string image, std::function<void(const std::string&)> say, std::function<bool()> stopped,
             Clock::duration patience = kPatience);
  StallWatch(const StallWatch&) = delete;
  StallWatch& operator=(const StallWatch&) = delete;
  ~StallWatch() override;

  void begin_wait(std::string_view what) override;
  void end_wait() override;

 private:
  void watch();
  void look();  // with the lock

  const std::string image_;
  const std::function<void(const std::string&)> say_;
  const std::function<bool()> stopped_;
  const Clock::duration patience_;
  std::mutex mutex_;  // guards the next five
  std::string what_;  // empty: nothing is waited for
  Clock::time_point since_{};
  bool said_ = false, said_stop_ = false;
  bool closing_ = false;
  std::condition_variable changed_;
  std::thread thread_;
};

}  // namespace extscrub
