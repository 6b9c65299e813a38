// What a run of the tool finds around it: where to print, whether that is a terminal, how it is told to stop, and the
// functions that do the work. main() fills it from the process, the tests from strings and stand-ins.
// One run at a time uses an Environment; only `stop` is written from elsewhere (a signal handler).
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <istream>
#include <ostream>
#include <thread>

#include "audit/auditor.h"
#include "cli/process/priority.h"
#include "writeback/commit/commit.h"
#include "writeback/device/image_lock.h"
#include "writeback/undo/undo.h"

namespace extscrub {

struct Engine {
  std::function<Result<Audit>(const Image&, Overlay*, const AuditOptions&)> audit = extscrub::audit;
  std::function<Result<RepairPlan>(const Image&, RepairPolicy, const AuditOptions&)> plan_repairs = extscrub::plan_repairs;
  std::function<CommitReport(const CommitRequest&, const ImageLock&)> commit = extscrub::commit;
  std::function<CommitReport(const UndoRequest&, const ImageLock&)> undo = extscrub::undo;
  std::function<Result<ImageLock>(const std::filesystem::path&)> lock = ImageLock::acquire;
  std::function<Result<ImageLock>(const std::filesystem::path&)> lock_served = ImageLock::acquire_served;
  std::function<std::optional<std::string>(const std::filesystem::path&)> in_use = extscrub::image_in_use;
  std::function<void(std::chrono::milliseconds)> sleep = [](std::chrono::milliseconds time) {
    std::this_thread::sleep_for(time);
  };
  std::function<Result<void>()> lower_priority = extscrub::lower_priority;
};

// As extscrub, facility daemon.
void log_to_system(int priority, const std::string& text);

struct Environment {
  std::ostream& out;  // the report
  std::ostream& err;  // messages and progress
  std::istream* in = nullptr;  // a list of images, where one is asked for; null: standard input
  bool out_is_terminal = false;
  bool err_is_terminal = false;
  bool no_color = false;                    // NO_COLOR is set, or the terminal is a dumb one
  std::function<void(int, const std::string&)> log = log_to_system;  // priority of syslog(3), text
  const std::atomic<bool>* stop = nullptr;  // becomes true on SIGINT and SIGTERM; may be null
  bool isolate = false;  // an image is done in a process of its own, where no option says otherwise; main() wants it
  bool confine = false;  // this is such a process, of an audit: it may give up all rights but those to its image
  Engine engine{};

  [[nodiscard]] bool stopped() const { return stop != nullptr && stop->load(std::memory_order_relaxed); }
};

}  // namespace extscrub
