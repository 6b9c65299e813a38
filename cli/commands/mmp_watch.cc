#include "cli/commands/mmp_watch.h"

#include <fmt/format.h>

#include "cli/process/exit_status.h"
#include "cli/text/escape.h"

namespace extscrub {

namespace {

MmpWatch watch_of(const ImageReport& report, const Environment& environment) {
  MmpWatch watch;
  watch.wait = [&](std::chrono::milliseconds time) {
    if (environment.stopped()) return false;
    environment.engine.sleep(time);
    return !environment.stopped();
  };
  watch.tell = [&](const std::string& who, std::chrono::seconds time) {
    environment.err << fmt::format(
        "extscrub: {}: multiple-mount protection says that it is {}: waiting {} seconds to see whether "
        "that still holds\n",
        escape(name_of(report)), escape(who), time.count());
    environment.err.flush();
  };
  return watch;
}

bool refuse(ImageReport& report, int status, std::string why) {
  report.exit_status = status;
  report.error = Error{std::move(why), status == kExitCancelled ? ErrorKind::cancelled : ErrorKind::refused};
  return false;
}

}  // namespace

bool is_free_of_others(ImageReport& report, const Image& image, const Options& options, const Environment& environment,
                       std::optional<MmpClaim>& claim) {
  const MmpWatch watch = watch_of(report, environment);
  MmpAnswer answer = look_at_mmp(image, options.superblock, options.block_size, options.force ? nullptr : &watch);
  // With --force nobody has waited: a number may be counted up at any time, and is not written over.
  const bool may_count = answer.use == MmpUse::in_use && !answer.is_check;
  if (!(options.force && may_count)) claim = std::move(answer.claim);
  switch (answer.use) {
    case MmpUse::none:
    case MmpUse::damaged: return true;
    case MmpUse::abandoned:
      report.warnings.push_back(
          fmt::format("multiple-mount protection said that it is {}, which does not hold any more", answer.who));
      return true;
    case MmpUse::cancelled: return refuse(report, kExitCancelled, "cancelled before the audit; nothing was written");
    case MmpUse::in_use:
      if (options.force) {
        report.warnings.push_back(fmt::format("going on although multiple-mount protection says that it is {}", answer.who));
        return true;
      }
      return refuse(report, kExitOperational,
                    fmt::format("is in use: multiple-mount protection says that it is {}; nothing was written. Where that "
                                "cannot be, as after a crash, `tune2fs -f -E clear_mmp` takes it back, or use --force",
                                answer.who));
  }
  return true;
}

}  // namespace extscrub
