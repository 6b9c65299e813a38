
#include "cli/commands/commands.h"
#include "tests/support/catch.h"

using namespace extscrub;

namespace {

Options parsed(const std::vector<std::string>& arguments) {
  const auto result = parse_options(arguments, kCommands);
  REQUIRE(std::holds_alternative<Options>(result));
  return std::get<Options>(result);
}

Answer answered(const std::vector<std::string>& arguments) {
  const auto result = parse_options(arguments, kCommands);
  REQUIRE(std::holds_alternative<Answer>(result));
  return std::get<Answer>(result);
}

}  // namespace

TEST_CASE("options not given have the defaults of the manual") {
  const Options o = parsed({"scrub", "a.img", "b.img"});
  CHECK(o.command == "scrub");
  CHECK(o.images == std::vector<std::string>{"a.img", "b.img"});
  CHECK(o.format == Format::text);
  CHECK(o.repair == RepairPolicy::safe);
  CHECK(o.queue == QueueKind::automatic);
  CHECK(o.way == CommitWay::automatic);
  CHECK(o.jobs == 0);
  CHECK_FALSE(o.offset);
  CHECK_FALSE(o.superblock.has_value());
  CHECK_FALSE(o.dry_run);
  CHECK_FALSE(o.force);
  CHECK(o.undo_file.empty());
  CHECK_FALSE(o.no_undo);
}

TEST_CASE("options of undo files reach the run, and exclude what makes no sense") {
  CHECK(parsed({"scrub", "--undo-file", "u", "x"}).undo_file == "u");
  CHECK(parsed({"scrub", "--no-undo", "x", "y"}).no_undo);
  CHECK(answered({"scrub", "--no-undo", "--undo-file", "u", "x"}).status == 16);
  CHECK(answered({"scrub", "--undo-file", "u", "x", "y"}).status == 16);
  const Options o = parsed({"undo", "--force", "--queue=threads", "u", "x"});
  CHECK(o.command == "undo");
  CHECK(o.undo_file == "u");
  CHECK(o.images == std::vector<std::string>{"x"});
  CHECK(o.force);
  CHECK(answered({"undo", "u"}).status == 16);
  CHECK(answered({"undo", "u", "x", "y"}).status == 16);
}

TEST_CASE("options of a scrub reach the run") {
  const Options o = parsed({"scrub", "--repair=all", "--dry-run", "--queue", "threads", "--commit=direct", "--jobs=3",
                            "--superblock", "32768", "--block-size=4096", "--format=json", "-o", "report", "--force", "x"});
  CHECK(o.repair == RepairPolicy::all);
  CHECK(o.dry_run);
  CHECK(o.force);
  CHECK(o.queue == QueueKind::threads);
  CHECK(o.way == CommitWay::direct);
  CHECK(o.jobs == 3);
  CHECK(o.superblock == 32768u);
  CHECK(o.block_size == 4096u);
  CHECK(o.format == Format::json);
  CHECK(o.output == "report");
}

TEST_CASE("offset with a suffix counts in powers of 1024") {
  const auto offset = [](const std::string& text) { return parsed({"audit", "--offset", text, "x"}).offset; };
  CHECK(offset("512") == 512);
  CHECK(offset("64K") == 65536);
  CHECK(offset("1M") == 1048576);
  CHECK(offset("1m") == 1048576);
  CHECK(offset("3G") == 3ull << 30);
  CHECK(offset("2T") == 2ull << 40);
}

TEST_CASE("a run that has to stay out of the way of others") {
  const Options o = parsed({"audit", "--max-rate=20M", "--nice", "x"});
  CHECK(o.max_rate == 20u << 20);
  CHECK(o.nice);
  CHECK(parsed({"scrub", "--max-rate", "64k", "x"}).max_rate == 65536);
  CHECK(parsed({"scrub", "x"}).max_rate == 0);
  CHECK_FALSE(parsed({"scrub", "x"}).nice);
}

TEST_CASE("a run that remembers the last one") {
  const Options o = parsed({"scrub", "--state=d", "--resume", "x"});
  CHECK(o.state == "d");
  CHECK(o.resume);
  CHECK_FALSE(parsed({"audit", "--state", "d", "x"}).resume);
  CHECK(answered({"audit", "--resume", "x"}).status == 16);
}

TEST_CASE("what cannot be read is read, or listed, but not both") {
  CHECK(parsed({"audit", "--data", "x"}).data);
  const Options o = parsed({"audit", "--bad-blocks=list", "--bad-block-size=512", "x"});
  CHECK(o.bad_blocks == "list");
  CHECK(o.bad_block_size == 512u);
  CHECK(parsed({"audit", "--ddrescue-map", "map", "x"}).ddrescue_map == "map");
  CHECK(answered({"audit", "--bad-blocks=list", "x", "y"}).status == 16);
}

TEST_CASE("a list of what cannot be read is for one image, and not for a list of images") {
  for (const std::string option : {"--bad-blocks=list", "--ddrescue-map=map"}) {
    for (const std::vector<std::string>& images :
         std::vector<std::vector<std::string>>{{"x", "y"}, {"-"}, {"x", "-"}, {"--files-from=f"}, {"--files-from=f", "x"}}) {
      std::vector<std::string> arguments{"audit", option};
      arguments.insert(arguments.end(), images.begin(), images.end());
      CAPTURE(arguments);
      CHECK(answered(arguments).status == 16);
      CHECK(answered(arguments).text.contains("is for one image"));
    }
  }
}

TEST_CASE("a value that cannot be is a usage error that names the option") {
  const auto [option, value] = GENERATE(table<std::string, std::string>({
      {"--offset", "-5"},         {"--offset", "1X"},     {"--offset", "1MM"},      {"--offset", "99999999999999999999"},
      {"--offset", "9000000T"},   {"--offset", ""},       {"--max-rate", "0"},      {"--max-rate", "63K"},
      {"--max-rate", "fast"},     {"--jobs", "0"},        {"--jobs", "-1"},         {"--jobs", "many"},
      {"--superblock", "-1"},     {"--superblock", "1K"}, {"--block-size", "1000"}, {"--block-size", "512"},
      {"--block-size", "131072"}, {"--format", "xml"},    {"--color", "sometimes"}, {"--progress", "x"},
  }));
  CAPTURE(option, value);
  const Answer answer = answered({"audit", option + "=" + value, "x"});
  CHECK(answer.status == 16);
  CHECK(answer.text.find(option) != std::string::npos);
}

TEST_CASE("a command line that cannot be understood is answered with status 16") {
  const std::vector<std::string> arguments = GENERATE(values<std::vector<std::string>>({
      {},
      {"frob"},
      {"audit"},
      {"history"},
      {"history", "a", "b"},
      {"history", "--block", "-1", "x"},
      {"history", "--inode", "0", "x"},
      {"history", "--inode", "12", "--path", "/a", "x"},
      {"explain"},
      {"explain", "a", "b"},
      {"checks", "x"},
      {"audit", "--bogus", "x"},
      {"audit", "--repair=all", "x"},
      {"scrub", "--strict", "x"},
      {"audit", "--quiet", "--verbose", "x"},
      {"--jobs=2", "audit", "x"},
  }));
  const Answer answer = answered(arguments);
  CHECK(answer.status == 16);
  CHECK(answer.text.starts_with("extscrub: "));
}

TEST_CASE("an unknown command is named") { CHECK(answered({"frob", "x.img"}).text.find("frob") != std::string::npos); }

TEST_CASE("help and version are no errors") {
  CHECK(answered({"--help"}).status == 0);
  CHECK(answered({"audit", "--help"}).status == 0);
  CHECK(answered({"--version"}).status == 0);
  CHECK(answered({"--version"}).text.starts_with("extscrub "));
}
