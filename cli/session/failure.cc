#include "cli/session/failure.h"

#include <fmt/format.h>

#include <cerrno>

#include "cli/disk/identify.h"
#include "cli/process/exit_status.h"

namespace extscrub {

void fail(ImageReport& report, std::string message) {
  report.verdict = Verdict::unreadable;
  report.exit_status = kExitOperational;
  report.error = std::move(message);
}

void cancel(ImageReport& report) {
  report.exit_status = kExitCancelled;
  report.error = "cancelled before the audit was over; nothing was written";
}

void take_close_failure(ImageReport& report, const Error& error) {
  if (!report.writeback || report.writeback->writes == 0) {
    report.warnings.push_back(error.message);
    return;
  }
  report.writeback->outcome = CommitOutcome::errored;
  if (report.undone) report.undone = false;
  report.verdict = Verdict::errored;
  report.exit_status = kExitOperational;
  report.error = fmt::format("it is not known whether all that was written is on the disk: {}. Audit it again", error.message);
}

void report_failure(ImageReport& report, const Image& image, const Error& error) {
  if (error.code == ECANCELED) return cancel(report);
  // There is a superblock to go by whenever an errno is the reason; then the table is none.
  const auto table = error.code == 0 && !has_ext_magic(image) ? find_partitions(image) : std::nullopt;
  fail(report, table ? describe(*table) : error.message);
}

}  // namespace extscrub
