#include "cli/process/stall_watch.h"

#include <fmt/format.h>

#include <system_error>

namespace extscrub {

StallWatch::StallWatch(std::string image, std::function<void(const std::string&)> say, std::function<bool()> stopped,
                       Clock::duration patience)
    : image_(std::move(image)), say_(std::move(say)), stopped_(std::move(stopped)), patience_(patience) {}

StallWatch::~StallWatch() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void StallWatch::begin_wait(std::string_view what) {
  const std::lock_guard lock(mutex_);
  what_ = what;
  since_ = Clock::now();
  said_ = said_stop_ = false;
  if (thread_.joinable()) return changed_.notify_all();
  try {
    thread_ = std::thread([this] { watch(); });
  } catch (const std::system_error&) {
    // Nobody watches then.
  }
}

void StallWatch::end_wait() {
  const std::lock_guard lock(mutex_);
  what_.clear();
}

void StallWatch::watch() {
  std::unique_lock lock(mutex_);
  while (!closing_) {
    if (what_.empty())
      changed_.wait(lock);
    else
      changed_.wait_for(lock, patience_ / 20);
    if (!closing_ && !what_.empty()) look();
  }
}

void StallWatch::look() {
  const auto waited = Clock::now() - since_;
  if (waited < patience_) return;
  const bool stopped = stopped_();
  if (said_ && (said_stop_ || !stopped)) return;
  said_ = true;
  said_stop_ = stopped;
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(waited).count();
  say_(fmt::format("extscrub: {}: {} has not come back for {} s. {}; the image says \"not clean\" until all is written\n", image_,
                   what_, seconds,
                   stopped ? "The run stops as soon as it does; one more SIGTERM or SIGINT ends it at once"
                           : "SIGTERM stops the run as soon as it does, a second one at once"));
}

}  // namespace extscrub
