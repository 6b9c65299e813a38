// extscrub undo: the bytes that a scrub has saved go back to where they were, under the image's lock.
#include <fmt/format.h>

#include "cli/commands/commands.h"
#include "cli/commands/mmp_watch.h"
#include "cli/options/option_groups.h"
#include "cli/process/exit_status.h"
#include "cli/report/commit_text.h"
#include "cli/session/session.h"

namespace extscrub {

namespace {

// Who has to undo a scrub whose write failed is not asked to remove its record first.
void warn_of_sidecar(ImageReport& report) {
  if (const auto sidecar = find_error_sidecar(report))
    report.warnings.push_back(
        fmt::format("{} tells that an earlier write failed; it stays, and is to be removed once its cause is mended", *sidecar));
}

void take_outcome(ImageReport& report, const CommitReport& commit) {
  report.error = error_of(commit, report.path, CommitPurpose::undo);
  switch (commit.outcome) {
    case CommitOutcome::committed:
    case CommitOutcome::nothing_to_do: report.undone = true; break;
    case CommitOutcome::cancelled: report.exit_status = kExitCancelled | (commit.armed ? kExitOperational : kExitOk); break;
    case CommitOutcome::refused: report.exit_status = kExitOperational; break;
    case CommitOutcome::errored:
      report.verdict = Verdict::errored;
      report.exit_status = kExitOperational;
      break;
  }
}

// The log says where in the image the file system begins. What is wrong with either, the undo says.
bool heed_others(ImageReport& report, const Options& options, const Environment& environment, std::optional<MmpClaim>& claim) {
  const auto log = UndoLog::open(options.undo_file);
  if (!log) return true;
  const auto image = Image::open(report.opened, log->offset());
  return !image || is_free_of_others(report, *image, options, environment, claim);
}

void undo_image(ImageReport& report, const Options& options, const Environment& environment, Progress& progress) {
  report.undo_log = options.undo_file;
  report.undone = false;
  const auto lock = lock_image(report, environment);
  if (!lock) {
    report.exit_status = kExitOperational;
    report.error = lock.error();
    return;
  }
  warn_of_sidecar(report);
  UndoRequest request;
  request.log = options.undo_file;
  request.image = report.path;
  request.opened = report.opened;
  request.force = options.force;
  request.queue = options.queue;
  request.progress = &progress;
  if (!heed_others(report, options, environment, request.mmp)) return;
  if (lockable(report) == report.opened) request.file = lock->identity();
  StallWatch watch = watch_for(report, environment);
  request.waits = &watch;
  report.writeback = environment.engine.undo(request, *lock);
  report.timings.writeback = report.writeback->seconds;
  take_outcome(report, *report.writeback);
}

void add_undo_options(CLI::App& app, Options& o) {
  app.add_option("UNDO_FILE", o.undo_file, "What a scrub, or a tool of e2fsprogs, has saved")->required()->type_name("");
  add_one_image(app, o);
  add_report_options(app, o);
  add_disk_options(app, o);
  app.add_flag("--force", o.force,
               "Go on although the image has changed since, UNDO_FILE is not finished, or MMP says that another host uses it");
  add_progress_option(app, o);
  add_isolation_options(app, o);
  add_queue_option(app, o);
}

int run_undo(const Options& options, const Environment& environment) { return for_each_image(options, environment, undo_image); }

}  // namespace

const Command kUndoCommand = {"undo", "Put the bytes back that a scrub has written over", Access::put_back, add_undo_options,
                              run_undo};

}  // namespace extscrub
