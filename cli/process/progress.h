// Progress on standard error: phase, percent, rate and time left, redrawn in place on a terminal and as lines
// elsewhere. phase(), clear() and finish() belong to one thread; advance() and cancelled() may be called from many.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "cli/process/environment.h"
#include "scan/image/progress.h"

namespace extscrub {

class ConsoleProgress : public Progress {
 public:
  using Clock = std::chrono::steady_clock;

  // `shown`: whether anything is printed at all; it tells of the stop flag in either case. `now` is for the tests.
  ConsoleProgress(const Environment& environment, bool shown, std::function<Clock::time_point()> now = Clock::now);
  ~ConsoleProgress() override { finish(); }

  void image(std::string_view path);  // whose phases follow
  void phase(std::string_view name, uint64_t total) override;
  void advance(uint64_t bytes) override;
  [[nodiscard]] bool cancelled() const override { return environment_.stopped() || is_late(); }

  // From then on it is cancelled.
  void set_deadline(Clock::time_point deadline) { deadline_ = deadline; }
  [[nodiscard]] bool is_late() const { return deadline_ && now_() >= *deadline_; }

  void finish();  // the last phase is over; takes the line away, so that messages can follow

 private:
  void draw(Clock::time_point now, uint64_t done);
  void end_phase();

  const Environment& environment_;
  const bool shown_;
  const std::function<Clock::time_point()> now_;
  std::optional<Clock::time_point> deadline_;
  std::string image_, phase_;
  uint64_t total_ = 0;
  Clock::time_point began_{};
  std::atomic<uint64_t> done_{0};
  std::atomic<Clock::rep> next_draw_{0};  // since the clock's epoch
  std::atomic_flag drawing_{};            // held by the thread that draws; the others do not wait for it
  bool line_is_open_ = false;             // something stands on the terminal's line
};

}  // namespace extscrub
