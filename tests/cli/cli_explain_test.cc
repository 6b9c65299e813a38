#include <nlohmann/json.hpp>

#include "tests/cli/cli_support.h"
#include "tests/support/catch.h"

using namespace extscrub;
using extscrub::test::Tool;

TEST_CASE("every code that checks lists can be explained") {
  Tool tool;
  REQUIRE(tool({"checks"}) == 0);
  const std::string list = tool.printed();
  for (const ProblemInfo& problem : problem_catalogue()) {
    CAPTURE(problem.code);
    CHECK(list.find("\n" + std::string(problem.code) + " ") != std::string::npos);
    CHECK(tool({"explain", std::string(problem.code)}) == 0);
    CHECK(tool.printed().starts_with(std::string(problem.code) + ": "));
    CHECK(tool.printed().contains(std::string(problem.code) + ": " + std::string(problem.message) + "\n"));
    std::istringstream lines(tool.printed());
    lines.ignore(1000, '\n');
    for (std::string line; std::getline(lines, line);) CHECK(line.size() <= 90);
  }
}

TEST_CASE("an unknown code is a usage error, and codes like it are offered") {
  Tool tool;
  CHECK(tool({"explain", "padding"}) == 16);
  CHECK(tool.printed().empty());
  CHECK(tool.said("block-bitmap-padding"));
  CHECK(tool({"explain", ""}) == 16);
}

TEST_CASE("an explanation as JSON has what the catalogue has") {
  Tool tool;
  REQUIRE(tool({"explain", "--format=json", "inode-blocks-count"}) == 0);
  const auto problem = nlohmann::json::parse(tool.printed())["problem"];
  CHECK(problem["code"] == "inode-blocks-count");
  CHECK(problem["repair_class"] == "safe");
  CHECK_FALSE(problem["explanation"].get<std::string>().empty());
}
