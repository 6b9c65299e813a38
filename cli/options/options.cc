#include "cli/options/options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <sstream>

#include "cli/options/command.h"
#include "cli/process/exit_status.h"
#include "cli/text/escape.h"
#include "revision.h"
#include "version.h"

namespace extscrub {

namespace {

// CLI11's help without its remarks on each option (defaults, what excludes what): the texts here say it in words.
class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter() {
    column_width(32);
    label("SUBCOMMAND", "COMMAND");
    label("Positionals", "Arguments");
  }
  std::string make_option_opts(const CLI::Option* option) const override {
    const std::string type = option->get_type_name();
    const std::string repeated = option->get_positional() && option->get_expected_max() > 1 ? "..." : "";
    return (type.empty() ? "" : " " + type) + repeated;
  }
};

std::string version_line() {
  const std::string_view revision = kRevision;
  return fmt::format("extscrub {}{}", kVersion, revision.empty() ? "" : fmt::format(" ({})", revision));
}

void describe(CLI::App& app) {
  app.formatter(std::make_shared<HelpFormatter>());
  app.set_help_flag("-h,--help", "Print this help and exit");
}

Answer usage_error(const std::string& reason) {
  return {kExitUsage, fmt::format("extscrub: {}\nTry `extscrub --help`.\n", escape(reason))};
}

// "a, b and c"
std::string names_of(std::span<const Command* const> commands, std::string_view conjunction) {
  std::string names;
  for (const Command* command : commands) {
    const bool last = command == commands.back();
    names += fmt::format("{}{}", names.empty() ? "" : last ? fmt::format(" {} ", conjunction) : ", ", command->name);
  }
  return names;
}

Answer answer_of(const CLI::App& app, const CLI::ParseError& error, const std::vector<std::string>& arguments,
                 std::span<const Command* const> commands) {
  std::ostringstream out, err;
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) {
    app.exit(error, out, err);
    return {kExitOk, out.str()};
  }
  if (!app.get_subcommands().empty()) return usage_error(error.what());
  const std::string names = names_of(commands, arguments.empty() ? "or" : "and");
  return usage_error(arguments.empty() ? "a command is needed: " + names
                                       : fmt::format("{} is not one of the commands {}", arguments.front(), names));
}

}  // namespace

std::variant<Options, Answer> parse_options(const std::vector<std::string>& arguments, std::span<const Command* const> commands) {
  Options options;
  CLI::App app{"Audits and scrubs ext2, ext3 and ext4 images offline.", "extscrub"};
  describe(app);
  app.set_version_flag("--version", version_line(), "Print the version and exit");
  app.require_subcommand(1);
  for (const Command* command : commands) {
    const auto sub = app.add_subcommand(std::string(command->name), std::string(command->summary))->group("Commands");
    sub->preparse_callback([&options, command](size_t) {
      options.command = command->name;
      options.access = command->access;
    });
    command->add_options(*sub, options);
  }
  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));  // CLI11 takes them from the back
  } catch (const CLI::ParseError& error) {
    return answer_of(app, error, arguments, commands);
  }
  return options;
}

}  // namespace extscrub
