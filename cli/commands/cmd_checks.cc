// extscrub checks: the catalogue, a line a problem.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "cli/commands/commands.h"
#include "cli/options/option_groups.h"
#include "cli/report/report.h"
#include "cli/session/session.h"

namespace extscrub {

namespace {

std::string text_checks() {
  size_t width = 0;
  for (const ProblemInfo& problem : problem_catalogue()) width = std::max(width, problem.code.size());
  std::string text = fmt::format("{:{}}  severity  repair  problem\n", "code", width);
  for (const ProblemInfo& problem : problem_catalogue())
    fmt::format_to(std::back_inserter(text), "{:{}}  {:8}  {:6}  {}\n", problem.code, width, name(problem.severity),
                   name(problem.repair), problem.message);
  return text;
}

void add_checks_options(CLI::App& app, Options& o) { add_report_options(app, o); }

int run_checks(const Options& options, const Environment& environment) {
  return print_report(options.format == Format::json ? json_checks() : text_checks(), options, environment);
}

}  // namespace

const Command kChecksCommand = {"checks", "List all problems that an audit can find", Access::none, add_checks_options,
                                run_checks};

}  // namespace extscrub
