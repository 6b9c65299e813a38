#include "cli/process/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "cli/text/escape.h"
#include "cli/text/units.h"

namespace extscrub {

namespace {

using namespace std::chrono_literals;

constexpr auto kRedraw = 100ms;    // on a terminal
constexpr auto kNextLine = 5s;     // in a log
constexpr size_t kLineWidth = 79;  // a longer line would wrap, and could not be redrawn in place

// The end of a name tells more than its beginning. Cut in front of a whole UTF-8 character.
std::string shortened(std::string name, size_t most) {
  if (name.size() <= most) return name;
  size_t from = name.size() - most;
  while (from < name.size() && (static_cast<uint8_t>(name[from]) & 0xC0) == 0x80) ++from;
  return "..." + name.substr(from);
}

}  // namespace

ConsoleProgress::ConsoleProgress(const Environment& environment, bool shown, std::function<Clock::time_point()> now)
    : environment_(environment), shown_(shown), now_(std::move(now)) {}

void ConsoleProgress::image(std::string_view path) {
  finish();
  image_ = shortened(escape(std::filesystem::path(path).filename().native()), 24);
}

void ConsoleProgress::phase(std::string_view name, uint64_t total) {
  if (!shown_) return;
  end_phase();
  phase_ = shortened(escape(name), 24);
  total_ = total;
  began_ = now_();
  done_ = 0;
  // A phase that is over before the first redraw is not worth a line.
  next_draw_ = (began_ + (environment_.err_is_terminal ? Clock::duration(kRedraw) : Clock::duration(kNextLine)))
                   .time_since_epoch()
                   .count();
}

void ConsoleProgress::advance(uint64_t bytes) {
  if (!shown_) return;
  const uint64_t done = done_.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  const Clock::time_point now = now_();
  if (now.time_since_epoch().count() < next_draw_.load(std::memory_order_relaxed)) return;
  if (drawing_.test_and_set(std::memory_order_acquire)) return;
  if (now.time_since_epoch().count() >= next_draw_.load(std::memory_order_relaxed)) draw(now, done);
  drawing_.clear(std::memory_order_release);
}

void ConsoleProgress::draw(Clock::time_point now, uint64_t done) {
  const std::chrono::duration<double> elapsed = now - began_;
  std::string line = fmt::format("{}: {}", image_, phase_);
  if (total_ > 0) {
    const double part = std::min(1.0, static_cast<double>(done) / static_cast<double>(total_));
    line += fmt::format("  {:.0f} %", part * 100);
    if (elapsed.count() > 0) line += fmt::format("  {}", human_rate(done, elapsed));
    if (part > 0 && part < 1) line += fmt::format("  {} left", human_duration(elapsed / part - elapsed));
  }
  if (line.size() > kLineWidth) line.resize(kLineWidth);
  if (environment_.err_is_terminal) {
    environment_.err << fmt::format("\r\033[K{}", line) << std::flush;
    line_is_open_ = true;
    next_draw_ = (now + kRedraw).time_since_epoch().count();
  } else {
    environment_.err << line + "\n" << std::flush;
    next_draw_ = (now + kNextLine).time_since_epoch().count();
  }
}

void ConsoleProgress::end_phase() {
  if (phase_.empty()) return;
  // In a log every phase leaves one line at least, that of its end.
  if (!environment_.err_is_terminal) draw(now_(), done_);
  phase_.clear();
}

void ConsoleProgress::finish() {
  end_phase();
  if (!line_is_open_) return;
  environment_.err << "\r\033[K" << std::flush;
  line_is_open_ = false;
}

}  // namespace extscrub
