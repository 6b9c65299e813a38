// extscrub explain: one entry of the catalogue, in full.
#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "cli/commands/commands.h"
#include "cli/options/option_groups.h"
#include "cli/process/exit_status.h"
#include "cli/report/report.h"
#include "cli/session/session.h"
#include "cli/text/escape.h"

namespace extscrub {

namespace {

constexpr size_t kTextWidth = 80;

std::string wrapped(std::string_view text) {
  std::string out;
  size_t column = 0;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    if (column > 0 && column + 1 + word.size() > kTextWidth) {
      out += '\n';
      column = 0;
    }
    if (column > 0) {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
  }
  return out;
}

std::string_view remedy_of(RepairClass repair) {
  switch (repair) {
    case RepairClass::none: return "none by itself";
    case RepairClass::safe: return "safe (made by `extscrub scrub`; no user data goes away)";
    case RepairClass::lossy: return "lossy (made by `scrub --repair=all`; something is cleared, cut or cloned)";
  }
  return "";
}

// A line for each pass that mends it, in the order in which they try.
std::string text_passes(const ProblemInfo& problem) {
  std::string text;
  for (const PassInfo& pass : all_passes())
    if (problem.mend.passes.has(pass.pass))
      text += fmt::format("  {:8}  {}: {}\n", text.empty() ? "made by" : "", pass.name, pass.what);
  return text;
}

std::string text_explanation(const ProblemInfo& problem) {
  return fmt::format("{}: {}\n\n  severity  {}\n  repair    {}\n{}\n{}\n", problem.code, problem.message, name(problem.severity),
                     remedy_of(problem.repair), text_passes(problem), wrapped(problem.explanation));
}

// The codes that hold a part of the one asked for, for someone who remembers half of it.
std::string similar_codes(std::string_view code) {
  std::string similar;
  for (const ProblemInfo& problem : problem_catalogue())
    if (!code.empty() && problem.code.contains(code)) similar += fmt::format("  {}\n", problem.code);
  return similar;
}

void add_explain_options(CLI::App& app, Options& o) {
  app.add_option("CODE", o.code, "Code of a problem, as a report shows it")->required()->type_name("");
  add_report_options(app, o);
}

int run_explain(const Options& options, const Environment& environment) {
  const auto problem = find_problem(options.code);
  if (!problem) {
    environment.err << fmt::format("extscrub: there is no problem with the code {}; `extscrub checks` lists them all\n",
                                   escape(options.code));
    environment.err << similar_codes(options.code);
    return kExitUsage;
  }
  if (options.format == Format::json) return print_report(json_explanation(info(*problem)), options, environment);
  // A code has more than one entry where it is told with more than one severity.
  std::string text;
  for (const ProblemInfo& entry : problem_catalogue())
    if (entry.code == options.code) text += (text.empty() ? "" : "\n") + text_explanation(entry);
  return print_report(text, options, environment);
}

}  // namespace

const Command kExplainCommand = {"explain", "Say what a problem is and what its repair does", Access::none, add_explain_options,
                                 run_explain};

}  // namespace extscrub
