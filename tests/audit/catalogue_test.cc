// The catalogue of problems and the passes that mend them: each names the other, and nothing goes by the order of lines.
#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "audit/catalogue/finding_index.h"
#include "tests/cli/cli_support.h"

using namespace extscrub;

namespace {

namespace fs = std::filesystem;

std::string contents_of(const fs::path& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

Finding finding_in(Problem problem, std::optional<GroupNo> group, std::optional<InodeNo> inode) {
  Finding f;
  f.problem = problem;
  f.group = group;
  f.inode = inode;
  return f;
}

template <class List>
std::vector<Problem> problems_in(List&& list) {
  std::vector<Problem> problems;
  for (const Finding& f : list) problems.push_back(f.problem);
  return problems;
}

}  // namespace

TEST_CASE("what has a repair names the passes that make it, and nothing else does") {
  for (const ProblemInfo& problem : problem_catalogue()) {
    INFO(problem.code);
    CHECK((problem.repair == RepairClass::none) == problem.mend.passes.empty());
    CHECK((problem.mend.alone || !problem.mend.passes.empty()));
  }
}

TEST_CASE("every pass mends something, and has a name and a sentence of its own") {
  std::set<std::string_view> names, sentences;
  for (const PassInfo& pass : all_passes()) {
    INFO(pass.name);
    CHECK(std::ranges::any_of(problem_catalogue(), [&](const ProblemInfo& p) { return p.mend.passes.has(pass.pass); }));
    CHECK(&info(pass.pass) == &pass);
    CHECK(names.insert(pass.name).second);
    CHECK(sentences.insert(pass.what).second);
    CHECK_FALSE(pass.what.empty());
  }
}

TEST_CASE("passes stand in the order in which they run, and need only such that run before") {
  const auto when = [](const PassInfo& pass) { return std::pair(pass.turn.when, pass.turn.layer); };
  const PassInfo* before = nullptr;
  for (const PassInfo& pass : all_passes()) {
    INFO(pass.name);
    CHECK((pass.turn.layer > 0) == (pass.turn.when == Turn::in_layer));
    if (before) CHECK(when(*before) <= when(pass));
    if (before && pass.turn.when == Turn::in_layer) CHECK(pass.turn.layer <= before->turn.layer + 1);
    for (const PassInfo& other : all_passes())
      if (pass.needs.has(other.pass)) CHECK(when(other) < when(pass));
    before = &pass;
  }
}

TEST_CASE("problems are ordered by their codes, wherever their lines stand") {
  std::vector<Problem> all;
  for (const ProblemInfo& problem : problem_catalogue()) all.push_back(problem.problem);
  std::ranges::sort(all);
  CHECK(std::ranges::is_sorted(all, {}, [](Problem p) { return info(p).code; }));
  CHECK(Problem::metadata_write_lost < Problem::metadata_write_perhaps_lost);  // one code: the error first
  CHECK(std::ranges::adjacent_find(all) == all.end());
  CHECK(Problem::block_bitmap_mismatch < Problem::read_error);
  CHECK(Problem::read_error >= Problem::block_bitmap_mismatch);
}

// A place in problem.def may be an index, and no more: who counts with it goes by the order of the lines.
TEST_CASE("no code but the catalogue's own makes a number of a problem, or a problem of a number") {
  const std::regex number(
      R"(static_cast<(size_t|u?int[0-9_t]*|unsigned|int)>\((\w+(\.|->))*(p|problem)\)|to_underlying\([^)]*problem|static_cast<Problem>)");
  const std::set<std::string> may = {"audit/catalogue/problem.cc", "audit/catalogue/finding_index.h",
                                     "audit/catalogue/finding_index.cc", "cli/isolation/report_wire.cc"};
  const fs::path root = EXTSCRUB_SOURCE_DIR;
  for (const char* floor : {"scan", "audit", "writeback", "cli"})
    for (const auto& entry : fs::recursive_directory_iterator(root / floor)) {
      const std::string file = fs::relative(entry.path(), root).generic_string();
      if ((!file.ends_with(".cc") && !file.ends_with(".h")) || may.contains(file)) continue;
      INFO(file);
      std::smatch match;
      const std::string text = contents_of(entry.path());
      CHECK_FALSE(std::regex_search(text, match, number));
    }
}

TEST_CASE("an index of findings has each where it is asked for, in the order of the findings") {
  using enum Problem;
  std::vector<Finding> findings = {
      finding_in(group_free_blocks, GroupNo(2), {}),      finding_in(inode_mode, GroupNo(0), InodeNo(12)),
      finding_in(extent_header, GroupNo(0), InodeNo(11)), finding_in(group_flags, GroupNo(0), {}),
      finding_in(inode_blocks, GroupNo(0), InodeNo(12)),  finding_in(superblock_checksum, {}, {})};
  const FindingIndex index(findings);
  CHECK(problems_in(index) == problems_in(findings));
  CHECK(problems_in(index.of(inode_mode)) == std::vector{inode_mode});
  CHECK(problems_in(index.of(Pass::groups)) == std::vector{group_free_blocks, group_flags});
  CHECK(problems_in(index.of(Pass::inode_fields)) == std::vector{inode_mode, inode_blocks});
  CHECK(problems_in(index.about(InodeNo(12))) == std::vector{inode_mode, inode_blocks});
  CHECK(index.about(InodeNo(13)).empty());
  CHECK(problems_in(index.in(GroupNo(0))) == std::vector{inode_mode, extent_header, group_flags, inode_blocks});
  CHECK(problems_in(index.that_hide(Hidden::blocks)) == std::vector{inode_mode, extent_header});
  CHECK(index.any(Pass::maps));
  CHECK_FALSE(index.any(Pass::journal));
  CHECK_FALSE(index.any_hides(Hidden::gone));
  const auto by_inode = index.by_inode({Scope::inode, Scope::map});
  REQUIRE(by_inode.size() == 2);
  CHECK(by_inode.at(InodeNo(11)) == std::vector{&findings[2]});
  CHECK(by_inode.at(InodeNo(12)) == std::vector{&findings[1], &findings[4]});
  (*index.of(inode_mode).begin()).repair = RepairState::staged;
  CHECK(findings[1].repair == RepairState::staged);
}

TEST_CASE("an explanation names the passes that make the repair, in the order in which they try") {
  test::Tool tool;
  REQUIRE(tool({"explain", "entry-inode-unused"}) == 0);
  const std::string text = tool.printed();
  CHECK(text.contains("\n  made by   entries: "));
  CHECK(text.contains("\n            directories: "));
  REQUIRE(tool({"explain", "read-error"}) == 0);
  CHECK_FALSE(tool.printed().contains("made by"));
}
