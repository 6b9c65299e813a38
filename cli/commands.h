// The subcommands, each in a cmd_NAME.cc. They print to the environment's streams and return the exit status.
#pragma once

#include "cli/environment.h"
#include "cli/options.h"

namespace extscrub {

[[nodiscard]] int run_audit(const Options& options, const Environment& environment);
[[nodiscard]] int run_scrub(const Options& options, const Environment& environment);
[[nodiscard]] int run_undo(const Options& options, const Environment& environment);
[[nodiscard]] int run_history(const Options& options, const Environment& environment);
[[nodiscard]] int run_explain(const Options& options, const Environment& environment);
[[nodiscard]] int run_checks(const Options& options, const Environment& environment);

}  // namespace extscrub
