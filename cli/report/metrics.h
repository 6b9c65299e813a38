// What a run has seen, in Prometheus' text format, for the textfile collector of node_exporter. Pure functions: any thread.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "cli/report/report.h"

namespace extscrub {

// `before`: the file as an earlier run has left it, or empty. An image's last success is taken over from it when this run
// is none, and so are images that this run has not looked at.
[[nodiscard]] std::string metrics_text(const RunReport& run, std::string_view before, std::chrono::system_clock::time_point now);

}  // namespace extscrub
