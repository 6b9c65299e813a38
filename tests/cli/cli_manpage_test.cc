// --help of every command against man/extscrub.8, both ways. How the page must be written for that stands at its top.
#include <map>
#include <regex>
#include <set>

#include "tests/cli/cli_support.h"
#include "tests/support/catch.h"

using extscrub::test::Tool;

namespace {

using OptionNames = std::set<std::string>;

// "-h", "--help" and their like, where they do not stand inside a word.
OptionNames options_in(const std::string& text) {
  static const std::regex option(R"((^|[\s,\["|])(--?[a-z][a-z-]*))");
  OptionNames found;
  for (std::sregex_iterator it(text.begin(), text.end(), option); it != std::sregex_iterator(); ++it) found.insert((*it)[2]);
  return found;
}

std::string help_of(const std::string& command) {
  Tool tool;
  REQUIRE(tool(command == "extscrub" ? std::vector<std::string>{"--help"} : std::vector{command, std::string("--help")}) == 0);
  return tool.printed();
}

// The options at the beginning of the help's lines; texts behind them may name others.
OptionNames options_of_help(const std::string& command) {
  std::istringstream help(help_of(command));
  OptionNames found;
  for (std::string line; std::getline(help, line);) {
    if (!line.starts_with("  -")) continue;
    const size_t end = line.find("  ", 2);
    found.merge(options_in(line.substr(0, end)));
  }
  return found;
}

std::string manual() {
  std::string page = extscrub::test::read_file(std::string(EXTSCRUB_SOURCE_DIR) + "/man/extscrub.8");
  REQUIRE_FALSE(page.empty());
  return std::regex_replace(page, std::regex(R"(\\-)"), "-");
}

// Options of each command: the tagged paragraphs below the headings "Options of A, B and C".
std::map<std::string, OptionNames> options_of_manual() {
  std::map<std::string, OptionNames> all;
  std::istringstream page(manual());
  std::set<std::string> commands;
  bool is_tag = false;
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with(".S")) {
      commands.clear();
      const std::regex word("[a-z]+");
      if (const std::string heading = ".SS Options of "; line.starts_with(heading))
        for (std::sregex_iterator it(line.begin() + static_cast<std::ptrdiff_t>(heading.size()), line.end(), word);
             it != std::sregex_iterator(); ++it)
          if (it->str() != "and") commands.insert(it->str());
    }
    if (is_tag)
      for (const std::string& command : commands) all[command].merge(options_in(line));
    is_tag = line == ".TP";
  }
  return all;
}

OptionNames commands_of_help() {
  const std::string help = help_of("extscrub");
  OptionNames found;
  std::istringstream lines(help.substr(help.find("Commands:")));
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("  ")) found.insert(line.substr(2, line.find(' ', 2) - 2));
  return found;
}

}  // namespace

TEST_CASE("every option of a command's help is in the manual, and the other way round") {
  auto manual = options_of_manual();
  for (const std::string command : {"extscrub", "audit", "scrub", "undo", "history", "explain", "checks"}) {
    CAPTURE(command);
    CHECK(options_of_help(command) == manual[command]);
    CHECK(manual[command].contains("--help"));
    manual.erase(command);
  }
  CHECK(manual.empty());
}

TEST_CASE("the manual's synopsis and description have exactly the commands of the help") {
  const std::string page = manual();
  OptionNames in_synopsis, in_description;
  const std::regex synopsis(R"(\n\.B extscrub ([a-z]+)\n)"), description(R"(\n\.TP\n\.B ([a-z]+)\n)");
  for (std::sregex_iterator it(page.begin(), page.end(), synopsis); it != std::sregex_iterator(); ++it)
    in_synopsis.insert((*it)[1]);
  const std::string part = page.substr(page.find(".SH DESCRIPTION"), page.find(".SH OPTIONS") - page.find(".SH DESCRIPTION"));
  for (std::sregex_iterator it(part.begin(), part.end(), description); it != std::sregex_iterator(); ++it)
    in_description.insert((*it)[1]);
  CHECK(commands_of_help() == in_synopsis);
  CHECK(commands_of_help() == in_description);
}

TEST_CASE("the words an option takes are the same in help and manual") {
  const std::string page = manual();
  const std::regex choice(R"((--[a-z-]+) ([a-z]+(?:\|[a-z]+)+))");
  for (const std::string command : {"audit", "scrub", "undo", "history", "explain", "checks"}) {
    const std::string help = help_of(command);
    size_t choices = 0;
    for (std::sregex_iterator it(help.begin(), help.end(), choice); it != std::sregex_iterator(); ++it, ++choices) {
      const std::string words = std::regex_replace((*it)[2].str(), std::regex(R"(\|)"), " | ");
      const std::string tag = (*it)[1].str() + " = " + words + "\n";
      CAPTURE(command, tag);
      CHECK(page.find(tag) != std::string::npos);
    }
    CHECK(choices > 0);
  }
}
