// Lists of badblocks and ddrescue, as files and as options.

#include "cli/input/unreadable_files.h"
#include "tests/cli/cli_support.h"
#include "tests/support/catch.h"

using namespace extscrub;
using namespace extscrub::test;

namespace {

using Ranges = std::vector<std::pair<uint64_t, uint64_t>>;

constexpr const char* kMap =
    "# Mapfile. Created by GNU ddrescue version 1.27\n"
    "# current_pos  current_status  current_pass\n"
    "0x00120000     +               1\n"
    "#      pos        size  status\n"
    "0x00000000  0x00117000  +\n"
    "0x00117000  0x00000200  -\n"
    "0x00117200  1024  *\n"
    "0x00117600  0x00000A00  /\n"
    "0x00118000  0x7FFFFFFFFFEE7FFF  ?\n";

}  // namespace

TEST_CASE("a list of badblocks is a number a line") {
  TempDir directory;
  const auto read = read_bad_blocks_file(write_file(directory.path() / "list", "12\n\n # a remark\n7\n"), 4096);
  REQUIRE(read);
  CHECK(read->unit == 4096);
  CHECK(read->ranges == Ranges{{12, 13}, {7, 8}});
  CHECK(read_bad_blocks_file(write_file(directory.path() / "empty", ""), 0)->ranges.empty());
  CHECK_FALSE(read_bad_blocks_file(directory.path() / "none", 0));
}

TEST_CASE("a file that is no list of badblocks is named with its line") {
  TempDir directory;
  const std::string line = GENERATE("-1", "1 2", "1k", "99999999999999999999", "0x", "bad");
  CAPTURE(line);
  const auto read = read_bad_blocks_file(write_file(directory.path() / "list", "5\n" + line + "\n"), 0);
  REQUIRE_FALSE(read);
  CHECK(text_of(read.error()).ends_with("line 2 is \"" + line + "\""));
}

TEST_CASE("of a mapfile of ddrescue all counts that is not finished") {
  TempDir directory;
  const auto read = read_ddrescue_map(write_file(directory.path() / "map", kMap));
  REQUIRE(read);
  CHECK(read->unit == 1);
  CHECK(read->ranges == Ranges{{0x117000, 0x117200}, {0x117200, 0x117600}, {0x117600, 0x118000}, {0x118000, 0x7FFFFFFFFFFFFFFF}});
  // Older versions do not say in which pass they are.
  CHECK(read_ddrescue_map(write_file(directory.path() / "old", "0x0 +\n0x0 0x100 -\n"))->ranges.size() == 1);
}

TEST_CASE("a file that is no mapfile is named with its line") {
  TempDir directory;
  const std::string text = GENERATE("", "# nothing\n", "12\n", "0 + 1 2\n", "0 + 1\n0 5\n", "0 + 1\n0 5 x\n", "0 + 1\n0 5 --\n",
                                    "0 + 1\nx 5 -\n", "0 + 1\n0x7000000000000000 0x7000000000000000 -\n");
  CAPTURE(text);
  const auto read = read_ddrescue_map(write_file(directory.path() / "map", text));
  REQUIRE_FALSE(read);
  CHECK(text_of(read.error()).find("mapfile") != std::string::npos);
}

TEST_CASE("options about what cannot be read reach the audit, one of them at a time") {
  TempDir directory;
  const auto image = write_ext_like(directory.path() / "disk.img");
  const auto list = write_file(directory.path() / "list", "3\n");
  const auto map = write_file(directory.path() / "map", kMap);
  Tool tool;
  std::optional<UnreadableList> seen;
  bool data = false;
  tool.environment.engine.audit = [&](const Image&, Overlay*, const AuditOptions& options) {
    seen = options.unreadable ? std::optional(*options.unreadable) : std::nullopt;
    data = options.data;
    return audit_with(Verdict::clean);
  };
  CHECK(tool({"audit", image}) == 0);
  CHECK_FALSE(seen);
  CHECK_FALSE(data);
  CHECK(tool({"audit", "--data", image}) == 0);
  CHECK(data);
  CHECK(tool({"audit", "--bad-blocks", list, image}) == 0);
  REQUIRE(seen);
  CHECK(seen->unit == 0);
  CHECK(seen->ranges == Ranges{{3, 4}});
  CHECK(tool({"audit", "--bad-blocks", list, "--bad-block-size=512", image}) == 0);
  CHECK(seen->unit == 512);
  CHECK(tool({"audit", "--ddrescue-map", map, image}) == 0);
  CHECK(seen->ranges.size() == 4);
  CHECK_FALSE(data);

  CHECK(tool({"audit", "--ddrescue-map", list, image}) == 8);
  CHECK(tool.said("mapfile"));
  CHECK(tool({"audit", "--bad-blocks", directory.path() / "none", image}) == 8);
  for (const std::vector<std::string>& wrong :
       std::vector<std::vector<std::string>>{{"--data", "--bad-blocks", list},
                                             {"--data", "--ddrescue-map", map},
                                             {"--ddrescue-map", map, "--bad-blocks", list},
                                             {"--bad-block-size=512"},
                                             {"--bad-blocks", list, "--bad-block-size=1000"},
                                             {"--bad-blocks", list, image}}) {
    std::vector<std::string> arguments = wrong;
    arguments.insert(arguments.begin(), "audit");
    arguments.push_back(image);
    CHECK(tool(arguments) == 16);
  }
  CHECK(tool({"scrub", "--data", image}) == 16);
}
