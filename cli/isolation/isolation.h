// An image in a process of its own, so that whatever it does to that process, the others are done. The report comes back
// through a pipe. The process is forked and not a program of its own: it has the options, and starts threads itself.
// For one thread, in a process without others: what they hold at the fork, nobody gives back.
#pragma once

#include <string>
#include <vector>

#include "cli/isolation/image_process.h"
#include "cli/isolation/report_sink.h"
#include "cli/options/options.h"
#include "cli/process/environment.h"

namespace extscrub {

// What `work` reports when it is done in another process, one after the other until all targets are done. A process that
// crashes or does not come to an end within --timeout takes with it the target it was at: that one's report says so.
// SIGINT and SIGTERM (environment.stop) are passed on. Who kills this process kills the other.
void run_isolated(const std::string& path, const Options& options, const Environment& environment, const TargetsWork& work,
                  ReportSink& sink);

// The report of an image that was not done within --timeout, and was cancelled therefore.
void take_timeout(ImageReport& report, const Options& options);

}  // namespace extscrub
