#include "cli/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>

#include "cli/commands/commands.h"
#include "cli/options/options.h"
#include "cli/process/exit_status.h"

namespace extscrub {

namespace {

int run_command(const Options& options, const Environment& environment) {
  const auto command = std::ranges::find(kCommands, options.command, [](const Command* c) { return c->name; });
  return (*command)->run(options, environment);
}

int give(const Answer& answer, const Environment& environment) {
  std::ostream& stream = answer.status == kExitOk ? environment.out : environment.err;
  stream << answer.text << std::flush;
  return stream ? answer.status : answer.status | kExitOperational;
}

}  // namespace

int run(const std::vector<std::string>& arguments, const Environment& environment) noexcept try {
  const auto parsed = parse_options(arguments, kCommands);
  if (const auto* answer = std::get_if<Answer>(&parsed)) return give(*answer, environment);
  return run_command(std::get<Options>(parsed), environment);
} catch (const std::exception& exception) {
  environment.err << "extscrub: internal error: " << exception.what() << '\n';
  return kExitOperational;
}

}  // namespace extscrub
