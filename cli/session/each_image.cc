#include "cli/session/each_image.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "audit/prepare_for_fork.h"
#include "cli/input/file_conflicts.h"
#include "cli/input/image_list.h"
#include "cli/process/exit_status.h"
#include "cli/report/report_writer.h"
#include "cli/state/run_state.h"
#include "cli/text/escape.h"

namespace extscrub {

namespace {

// 0, or why nothing is to be done.
int refuse_conflicts(const Options& options, const Environment& environment, const std::vector<std::string>& images) {
  const auto differ = check_files_differ(options, images);
  if (differ) return kExitOk;
  environment.err << fmt::format("extscrub: {}\n", text_of(differ.error()));
  return kExitUsage;
}

int no_list(const Error& error, const Environment& environment) {
  environment.err << fmt::format("extscrub: {}\n", escape(text_of(error)));
  if (error.kind == ErrorKind::cancelled) return kExitCancelled;
  return error.kind == ErrorKind::nothing_asked ? kExitUsage : kExitOperational;
}

void leave_machine_to_others(const Environment& environment) {
  if (const auto lowered = environment.engine.lower_priority(); !lowered)
    environment.err << fmt::format("extscrub: warning: {}\n", text_of(lowered.error()));
}

// How far the run has come.
struct Count {
  size_t done = 0, done_before = 0;  // images; those of a run that was stopped are in both
  int status = kExitOk;
};

void take_reports(std::vector<ImageReport> reports, const std::string& path, RunState& state, ReportWriter& writer,
                  Count& count) {
  bool whole = true;  // none of its targets was cancelled
  std::ranges::move(state.missed_partitions(path, reports), std::back_inserter(reports));
  for (ImageReport& report : reports) {
    state.take(report);
    count.status |= report.exit_status;
    whole = whole && !(report.exit_status & kExitCancelled);
    writer.add(std::move(report));
  }
  if (whole) state.take_end(path);
  if (writer.is_out()) state.keep();
}

void say_what_is_left(const Options& options, const Environment& environment, size_t images, Count& count) {
  if (const size_t left = images - count.done; left > 0) {
    environment.err << fmt::format("extscrub: cancelled; {} of {} images were not looked at\n", left, images);
    count.status |= kExitCancelled;
  }
  if (count.done_before > 0 && !options.quiet)
    environment.err << fmt::format("extscrub: {} of {} images were done before the last run was stopped\n", count.done_before,
                                   images);
}

}  // namespace

int for_each_image(const Options& options, const Environment& environment, const ImageWork& work) {
  const auto images = list_images(options, environment.in, environment.stop);
  if (!images) return no_list(images.error(), environment);
  if (const int status = refuse_conflicts(options, environment, *images); status != kExitOk) return status;
  ReportWriter writer(options, environment);
  if (const int status = writer.open(); status != kExitOk) return status;
  if (options.nice) leave_machine_to_others(environment);
  RunState state(options, environment, *images);
  if (environment.isolate) prepare_for_fork();
  Count count;
  for (const std::string& path : *images) {
    if (environment.stopped()) break;
    ++count.done;
    if (state.is_done(path))
      ++count.done_before;
    else
      take_reports(run_image(path, options, environment, work), path, state, writer, count);
  }
  say_what_is_left(options, environment, images->size(), count);
  const int closed = writer.close();
  if (closed == kExitOk) state.keep();
  if (closed == kExitOk && !(count.status & kExitCancelled)) state.finish();
  return count.status | closed;
}

}  // namespace extscrub
