// The limit of findings: what is kept and what is counted is the same in whatever order they come.
#include <algorithm>
#include <random>

#include "audit/catalogue/finding_list.h"
#include "audit/run/audit_run.h"
#include "tests/cli/cli_support.h"
#include "tests/support/catch.h"

using namespace extscrub;
using namespace extscrub::test;

namespace {

// Of two kinds, in groups 0 to 9.
std::vector<Finding> many_findings(uint32_t count) {
  std::vector<Finding> findings;
  for (uint32_t i = 0; i < count; ++i) {
    findings.push_back(at_inode(i % 3 == 0 ? Problem::inode_mode : Problem::inode_blocks, i));
    findings.back().group = GroupNo(i * 10 / count);
  }
  return findings;
}

std::vector<uint32_t> inodes_of(const std::vector<Finding>& findings) {
  std::vector<uint32_t> inodes;
  for (const Finding& f : findings) inodes.push_back(f.inode->value);
  return inodes;
}

uint64_t count_in(const std::vector<FindingCount>& counts, Problem problem) {
  const auto it = std::ranges::find(counts, problem, &FindingCount::problem);
  return it == counts.end() ? 0 : it->count;
}

}  // namespace

TEST_CASE("the first findings are kept and the others counted, in whatever order they come", "[findings]") {
  std::vector<Finding> all = many_findings(9000);
  const size_t most = GENERATE(1, 10, 1000, 8999);
  const std::vector<uint32_t> first = inodes_of({all.begin(), all.begin() + static_cast<std::ptrdiff_t>(most)});
  const auto past_of = [&](Problem problem) {
    return std::ranges::count(all.begin() + static_cast<std::ptrdiff_t>(most), all.end(), problem, &Finding::problem);
  };
  const auto modes = past_of(Problem::inode_mode), blocks = past_of(Problem::inode_blocks);
  std::mt19937 random(GENERATE(1, 2, 3));
  std::ranges::shuffle(all, random);

  std::vector<Findings> lists(4, Findings(most));
  for (const Finding& f : all) lists[random() % 4].emplace_back() = f;
  Findings together(most);
  for (Findings& list : lists) together.take(std::move(list));
  CHECK(inodes_of(together.take_kept()) == first);
  const auto past = together.take_counts();
  CHECK(count_in(past, Problem::inode_mode) == static_cast<uint64_t>(modes));
  CHECK(count_in(past, Problem::inode_blocks) == static_cast<uint64_t>(blocks));
}

TEST_CASE("a list takes no more memory than its limit and a little", "[findings]") {
  Findings list(100);
  for (const Finding& f : many_findings(50'000)) {
    list.emplace_back() = f;
    REQUIRE(list.size() <= 2000);
  }
}

TEST_CASE("what cannot be read is kept whatever the limit", "[findings]") {
  std::vector<Finding> findings = many_findings(3000);
  for (uint32_t i = 0; i < 20; ++i) findings.push_back(at_inode(Problem::read_error, 5000 + i));
  const auto past = limit_findings(findings, 10);
  CHECK(findings.size() == 30);
  CHECK(std::ranges::is_sorted(findings, comes_before));
  CHECK(count_in(past, Problem::inode_mode) + count_in(past, Problem::inode_blocks) == 2990);
  CHECK(count_in(past, Problem::read_error) == 0);
}

TEST_CASE("findings within the limit are all kept, each once", "[findings]") {
  std::vector<Finding> findings = many_findings(10);
  findings.push_back(findings[3]);
  CHECK(limit_findings(findings, 11).empty());
  CHECK(findings.size() == 10);
}

TEST_CASE("an error past the limit is an error", "[findings]") {
  CHECK(verdict_of({}, {}) == Verdict::clean);
  CHECK(verdict_of({}, {{Problem::inode_mode, RepairState::none, 1}}) == Verdict::damaged);
  CHECK(verdict_of({}, {{Problem::superblock_backup_bad, RepairState::none, 1}}) == Verdict::clean);
}
