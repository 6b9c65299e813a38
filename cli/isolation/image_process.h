// The process that does one image for the run that has forked it: its limits, its descriptors, and the channel on which it
// tells how far it has come. For the one thread of such a process.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <functional>

#include "cli/isolation/report_sink.h"
#include "cli/options/options.h"
#include "cli/process/environment.h"

namespace extscrub {

// Does the image's targets from number `first` on, and tells the sink.
using TargetsWork = std::function<void(size_t first, const Environment& environment, ReportSink& sink)>;

inline constexpr int kStatusOfThrow = 70;  // EX_SOFTWARE

// Behind the fork. `pipe`: to the run, whose process is `run`. Ends with status 0, or kStatusOfThrow.
[[noreturn]] void do_image(int pipe, pid_t run, size_t first, const Options& options, const Environment& environment,
                           const TargetsWork& work);

}  // namespace extscrub
