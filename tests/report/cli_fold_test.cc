
#include "cli/report/fold.h"
#include "tests/cli/cli_support.h"
#include "tests/support/catch.h"

using namespace extscrub;
using extscrub::test::at_inode;
using extscrub::test::finding;

namespace {

Finding at_block(uint32_t group, uint64_t block, std::string_view found = "free") {
  Finding f = finding(Problem::block_bitmap_mismatch);
  f.group = GroupNo(group);
  f.block = BlockNo(block);
  f.evidence = WrongBits{.should_be_set = found == "free"};
  return f;
}

Finding at_group(uint32_t group, std::string found) {
  Finding f = finding(Problem::group_free_blocks);
  f.group = GroupNo(group);
  f.field = "bg_free_blocks_count";
  f.evidence = Note{"100", std::move(found)};
  return f;
}

std::vector<FindingRun> folded(std::vector<Finding> findings) {
  sort_findings(findings);
  return fold_findings(findings);
}

}  // namespace

TEST_CASE("a run of blocks becomes one range") {
  Finding wide = at_block(1, 9002);
  wide.block_count = 598;
  const auto runs = folded({at_block(1, 9000), at_block(1, 9001), wide, at_block(1, 9700)});
  REQUIRE(runs.size() == 2);
  CHECK(runs[0].blocks->first == BlockNo(9000));
  CHECK(runs[0].blocks->last == BlockNo(9599));
  CHECK(runs[0].members == std::vector<size_t>{0, 1, 2});
  CHECK(runs[1].blocks->first == BlockNo(9700));
}

TEST_CASE("a run of blocks goes on into the next group") {
  const auto runs = folded({at_block(0, 8192), at_block(1, 8193)});
  REQUIRE(runs.size() == 1);
  CHECK(runs[0].groups->last == GroupNo(1));
  CHECK(runs[0].blocks->last == BlockNo(8193));
}

TEST_CASE("blocks wrongly free and wrongly in use are not thrown together") {
  const auto runs = folded({at_block(0, 10), at_block(0, 11, "in use"), at_block(0, 12)});
  CHECK(runs.size() == 3);
}

TEST_CASE("two problems in the same inodes fold into two runs although they lie interleaved") {
  std::vector<Finding> findings;
  for (uint32_t inode = 11; inode < 31; ++inode) {
    findings.push_back(at_inode(Problem::inode_checksum, inode));
    findings.push_back(at_inode(Problem::inode_blocks, inode, std::to_string(inode)));
  }
  const auto runs = folded(findings);
  REQUIRE(runs.size() == 2);
  for (const FindingRun& run : runs) {
    CHECK(run.inodes->first == InodeNo(11));
    CHECK(run.inodes->last == InodeNo(30));
    CHECK(run.members.size() == 20);
  }
  CHECK(runs[0].same_values != runs[1].same_values);
}

TEST_CASE("groups with different counts fold, and the run says that the values differ") {
  const auto runs = folded({at_group(0, "1"), at_group(1, "2"), at_group(2, "3"), at_group(4, "5")});
  REQUIRE(runs.size() == 2);
  CHECK(runs[0].groups->last == GroupNo(2));
  CHECK_FALSE(runs[0].same_values);
  CHECK(runs[1].groups->first == GroupNo(4));
}

TEST_CASE("blocks of two inodes do not fold into one run") {
  std::vector<Finding> findings;
  for (const uint32_t inode : {12u, 14u}) {
    Finding f = at_inode(Problem::block_multiply_claimed, inode);
    f.block = BlockNo(100 + inode / 14);
    findings.push_back(f);
  }
  CHECK(folded(findings).size() == 2);
}

TEST_CASE("blocks that follow on the disk but not in the file do not fold") {
  Finding a = at_inode(Problem::extent_out_of_range, 12), b = a;
  a.block = BlockNo(100);
  a.logical = 7;
  b.block = BlockNo(101);
  b.logical = 3;
  CHECK(folded({a, b}).size() == 2);
  b.logical = 8;
  const auto runs = folded({a, b});
  REQUIRE(runs.size() == 1);
  CHECK(runs[0].logical->last == 8);
}

TEST_CASE("repaired and unrepaired findings do not fold together") {
  Finding made = at_block(0, 11);
  made.repair = RepairState::made;
  CHECK(folded({at_block(0, 10), made}).size() == 2);
}

TEST_CASE("single blocks of neighbouring groups keep their places") {
  CHECK(folded({at_block(0, 20), at_block(1, 9000)}).size() == 2);
}

TEST_CASE("the largest block number does not wrap round") {
  CHECK(folded({at_block(0, UINT64_MAX), at_block(1, 0)}).size() == 2);
}

TEST_CASE("no findings fold to no runs") { CHECK(fold_findings({}).empty()); }
