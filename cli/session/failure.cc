#include "cli/session/failure.h"

#include <fmt/format.h>

#include "cli/disk/identify.h"
#include "cli/process/exit_status.h"

namespace extscrub {

void fail(ImageReport& report, Error error) {
  report.verdict = Verdict::unreadable;
  report.exit_status = kExitOperational;
  report.error = std::move(error);
}

void cancel(ImageReport& report) {
  report.exit_status = kExitCancelled;
  report.error = Error::cancelled("cancelled before the audit was over; nothing was written");
}

void take_close_failure(ImageReport& report, const Error& error) {
  if (!report.writeback || report.writeback->writes == 0) {
    report.warnings.push_back(text_of(error));
    return;
  }
  report.writeback->outcome = CommitOutcome::errored;
  if (report.undone) report.undone = false;
  report.verdict = Verdict::errored;
  report.exit_status = kExitOperational;
  report.error =
      Error{fmt::format("it is not known whether all that was written is on the disk: {}. Audit it again", text_of(error))};
}

void report_failure(ImageReport& report, const Image& image, const Error& error) {
  if (error.kind == ErrorKind::cancelled) return cancel(report);
  // Where there is a superblock to go by, what looks like a table is none.
  const auto table = error.kind == ErrorKind::no_superblock && !has_ext_magic(image) ? find_partitions(image) : std::nullopt;
  fail(report, table ? Error{describe(*table), ErrorKind::no_superblock} : error);
}

}  // namespace extscrub
