#include "cli/isolation/isolation.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>
#include <utility>

#include "cli/isolation/report_channel.h"
#include "cli/process/exit_status.h"
#include "cli/process/signals.h"
#include "cli/text/units.h"

namespace extscrub {

namespace fs = std::filesystem;

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto kTick = 100ms;        // how often the stop flag and the clock are looked at
constexpr auto kGrace = 5s;          // between being told to stop and SIGKILL
constexpr auto kWritingGrace = 30s;  // the same while an image is written
constexpr auto kGone = 10s;          // between SIGKILL and the end; a process may hang on a device

// What the run knows of the image's process.
class Watched : public ReportSink {
 public:
  Watched(const std::string& path, const Options& options, const Environment& environment, ReportSink& to)
      : path_(path), options_(options), environment_(environment), to_(to) {}

  void begin(size_t index, size_t count, const ImageReport& begun) override {
    next_ = index + 1;
    count_ = count;
    begun_ = begun;
    undo_log_.reset();
    to_.begin(index, count, begun);
  }
  void writing(const fs::path& undo_log) override {
    undo_log_ = undo_log;
    to_.writing(undo_log);
  }
  void add(ImageReport report) override {
    begun_.reset();
    report.path = path_;
    report.changes.reset();  // they are for who has the last result
    if (timed_out && (report.exit_status & kExitCancelled) && !environment_.stopped()) take_timeout(report, options_);
    to_.add(std::move(report));
  }
  void close_failed(const Error& error) override { to_.close_failed(error); }

  [[nodiscard]] bool is_writing() const { return begun_ && undo_log_; }
  [[nodiscard]] size_t next() const { return next_; }
  [[nodiscard]] bool has_more() const { return next_ < count_; }

  // The process has ended, and not as it should: "ended by signal 11 (SIGSEGV)".
  void take_end(const std::string& why, bool suspicious);

  bool timed_out = false;

 private:
  [[nodiscard]] std::string phase_of(bool suspicious) const;

  const std::string& path_;
  const Options& options_;
  const Environment& environment_;
  ReportSink& to_;
  size_t next_ = 0, count_ = 0;
  std::optional<ImageReport> begun_;  // the target it is at
  std::optional<fs::path> undo_log_;  // of a write-back that has begun; empty: none is made
};

// The log that was made last: another scrub may have taken the name before.
fs::path last_undo_log(const fs::path& path) {
  std::error_code ignored;
  fs::path last = fs::exists(path, ignored) ? path : fs::path();
  for (int n = 2;; ++n) {
    const fs::path next = fmt::format("{}-{}", path.native(), n);
    if (!fs::exists(next, ignored)) return last;
    last = next;
  }
}

// How to go on with an image that may be half written.
std::string advice(const std::string& path, const fs::path& undo_log) {
  const fs::path log = undo_log.empty() ? fs::path() : last_undo_log(undo_log);
  if (log.empty()) return "scrub it again";
  ImageReport image;
  image.path = path;
  image.writeback = CommitReport{};
  image.writeback->undo_file = log;
  return fmt::format("scrub it again, or put the old bytes back: `{}`", undo_command(image));
}

std::string Watched::phase_of(bool suspicious) const {
  const std::string_view hint = suspicious ? "; the image may be hostile: please report it" : "";
  if (is_writing())
    return options_.access == Access::put_back
               ? fmt::format(
                     " while old bytes were put back: it may have only some of them, and then says \"not clean\". "
                     "Undo it again{}",
                     hint)
               : fmt::format(" while repairs were written: it may be half written, and then says \"not clean\". {}{}",
                             "First " + advice(path_, *undo_log_), hint);
  switch (options_.access) {
    case Access::repair: return fmt::format(" while its repairs were prepared; nothing was written{}", hint);
    case Access::put_back: return fmt::format(" before anything was put back{}", hint);
    case Access::read:
    case Access::none: break;
  }
  return fmt::format(" while {}{}", options_.command == "history" ? "its history was read" : "it was audited", hint);
}

void Watched::take_end(const std::string& why, bool suspicious) {
  if (!begun_ && next_ > 0 && !has_more()) {  // all was reported but the end
    to_.close_failed(Error{fmt::format("its process {} when all was done", why)});
    return;
  }
  const bool writing = is_writing();
  ImageReport report = begun_ ? std::move(*begun_) : ImageReport{};
  std::string text = why + phase_of(suspicious);
  if (has_more() && timed_out) text += fmt::format("; {} more partitions were not looked at", count_ - next_);
  report.error = Error{std::move(text)};
  report.path = path_;
  report.exit_status = kExitOperational;
  if (options_.access == Access::put_back) {
    report.undo_log = options_.undo_file;
    report.undone = false;
  } else {
    report.verdict = Verdict::unreadable;
  }
  if (writing) report.verdict = Verdict::errored;
  begun_.reset();
  undo_log_.reset();
  to_.add(std::move(report));
}

// A forked process, and the end of the pipe it writes to.
class Child {
 public:
  Child(pid_t pid, int pipe) : pid_(pid), pipe_(pipe), end_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))) {}
  ~Child() {
    if (pipe_ >= 0) ::close(pipe_);
    if (end_ >= 0) ::close(end_);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void send(int signal) const { ::kill(pid_, signal); }

  // What it has written; nothing after a while without any, or at its end.
  std::string_view read_some() {
    std::array<struct pollfd, 2> ready{
        {{.fd = pipe_, .events = POLLIN, .revents = 0}, {.fd = end_, .events = POLLIN, .revents = 0}}};
    // Where the kernel has no descriptors of processes: once the pipe is closed, so is the process, nearly.
    ::poll(ready.data(), ready.size(), static_cast<int>((pipe_ >= 0 || end_ >= 0 ? kTick : 1ms).count()));
    return read_now();
  }
  std::string_view read_now() {
    if (pipe_ < 0) return {};
    const ssize_t n = ::read(pipe_, buffer_.data(), buffer_.size());
    if (n > 0) return {buffer_.data(), static_cast<size_t>(n)};
    if (n == 0) ::close(std::exchange(pipe_, -1));
    return {};
  }
  [[nodiscard]] bool has_closed() const { return pipe_ < 0; }

  // The status of waitpid(2), once there is one.
  [[nodiscard]] std::optional<int> status() const {
    int status = 0;
    const pid_t pid = ::waitpid(pid_, &status, WNOHANG);
    return pid == pid_ ? std::optional(status) : std::nullopt;
  }

 private:
  pid_t pid_;
  int pipe_;
  int end_;  // its descriptor, readable when it has ended
  std::array<char, 16 << 10> buffer_;
};

std::string duration_of(const Options& options) {
  return options.timeout < 1s ? fmt::format("{} ms", options.timeout.count()) : human_duration(options.timeout);
}

// When it has to be done, and how it is made to end.
class Guard {
 public:
  Guard(const Child& child, const Options& options, const Environment& environment, Watched& watched)
      : child_(child), environment_(environment), watched_(watched) {
    if (options.timeout.count() == 0) return;
    deadline_ = Clock::now() + options.timeout;
    grace_ = std::clamp<Clock::duration>(options.timeout, kTick, kGrace);
  }

  void look(bool has_closed) {
    const auto now = Clock::now();
    if (environment_.stopped() && !told_) tell();
    if (deadline_ && now >= *deadline_ && !kill_at_) {
      watched_.timed_out = true;
      tell();
      kill_at_ = now + (watched_.is_writing() ? std::max<Clock::duration>(grace_, kWritingGrace) : grace_);
    }
    if (has_closed && !kill_at_) kill_at_ = now + kGrace;
    if (kill_at_ && now >= *kill_at_ && !killed_) kill();
  }
  void kill() {
    child_.send(SIGKILL);
    killed_ = Clock::now();
  }
  [[nodiscard]] bool has_killed() const { return killed_.has_value(); }
  [[nodiscard]] bool has_given_up() const { return killed_ && Clock::now() - *killed_ > kGone; }

 private:
  void tell() {
    child_.send(kStopWork);
    told_ = true;
  }

  const Child& child_;
  const Environment& environment_;
  Watched& watched_;
  std::optional<Clock::time_point> deadline_, kill_at_, killed_;
  Clock::duration grace_{};
  bool told_ = false;
};

struct HowItEnded {
  std::string why;          // empty: as it should
  bool suspicious = false;  // the image may have made it so
};

HowItEnded how_it_ended(int status, bool killed, const Options& options, const Watched& watched) {
  if (killed && watched.timed_out)
    return {fmt::format("was not done within the {} of --timeout, and its process had to be killed", duration_of(options)),
            false};
  if (WIFEXITED(status)) return {fmt::format("its process ended with status {}", WEXITSTATUS(status)), true};
  const int signal = WTERMSIG(status);
  const char* const name = ::sigabbrev_np(signal);
  const std::string by = fmt::format("ended by signal {} (SIG{})", signal, name != nullptr ? name : "?");
  if (signal == SIGXCPU) return {by + ", out of the processor time that --timeout allows,", false};
  if (signal == SIGKILL && !killed) return {by + ", sent by somebody or by the kernel, out of memory,", false};
  return {by, true};
}

HowItEnded watch(Child& child, ChannelReader& reader, const Options& options, const Environment& environment, Watched& watched) {
  Guard guard(child, options, environment, watched);
  bool makes_sense = true;
  const auto feed = [&](std::string_view bytes) {
    if (!makes_sense || (makes_sense = reader.feed(bytes))) return;
    guard.kill();
  };
  std::optional<int> status;
  while (!status && !guard.has_given_up()) {
    feed(child.read_some());
    guard.look(child.has_closed());
    status = child.status();
  }
  for (std::string_view rest = child.read_now(); !rest.empty(); rest = child.read_now()) feed(rest);
  if (!makes_sense) return {"sent a report that makes no sense", true};
  if (!status) return {"cannot be ended: its process waits for a device", false};
  if (reader.has_ended()) return {};
  return how_it_ended(*status, guard.has_killed(), options, watched);
}

// Errors: no pipe, no process.
Result<int> start(const Options& options, const Environment& environment, const TargetsWork& work, size_t first, pid_t& pid) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return std::unexpected(system_error("cannot make a pipe for it", errno));
  sigset_t blocked, before;
  sigemptyset(&blocked);
  sigaddset(&blocked, kStopWork);
  ::sigprocmask(SIG_BLOCK, &blocked, &before);
  const pid_t self = ::getpid();
  pid = ::fork();
  if (pid == 0) do_image(ends[1], self, first, options, environment, work);
  const int error = errno;
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  ::close(ends[1]);
  if (pid > 0) {
    ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
    return ends[0];
  }
  ::close(ends[0]);
  return std::unexpected(system_error("cannot start a process for it", error));
}

}  // namespace

void run_isolated(const std::string& path, const Options& options, const Environment& environment, const TargetsWork& work,
                  ReportSink& sink) {
  (void)::signal(SIGCHLD, SIG_DFL);  // where it is ignored, nobody learns how a process has ended
  uint64_t budget = kMostReportBytes;
  Watched watched(path, options, environment, sink);
  do {
    pid_t pid = 0;
    const auto pipe = start(options, environment, work, watched.next(), pid);
    if (!pipe) return watched.take_end(text_of(pipe.error()), false);
    Child child(pid, *pipe);
    ChannelReader reader(environment.err, watched, watched.next(), budget);
    const auto [why, suspicious] = watch(child, reader, options, environment, watched);
    if (why.empty()) return;
    if (environment.err_is_terminal) environment.err << "\r\033[K" << std::flush;  // its progress may stand there
    watched.take_end(why, suspicious);
  } while (watched.has_more() && !watched.timed_out && !environment.stopped());
}

void take_timeout(ImageReport& report, const Options& options) {
  const std::string why = fmt::format("was not done within the {} of --timeout", duration_of(options));
  report.exit_status = (report.exit_status & ~kExitCancelled) | kExitOperational;
  if (report.writeback && report.writeback->armed) {
    report.error = Error{fmt::format("{}, and was stopped while it was written; {}", why, error_of(report))};
    return;
  }
  report.error = Error{why + "; nothing was written"};
  if (options.access != Access::put_back) report.verdict = Verdict::unreadable;
}

}  // namespace extscrub
