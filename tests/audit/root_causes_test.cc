// What follows from what, by the findings alone.

#include "audit/rules/root_causes.h"
#include "audit/rules/rules.h"
#include "tests/cli/cli_support.h"
#include "tests/support/catch.h"

namespace extscrub::test {

namespace {

using Indices = std::vector<std::optional<size_t>>;
constexpr std::optional<size_t> kNone;

Finding in_group(Problem problem, uint32_t group, FindingEvidence evidence = {}) {
  Finding f = finding(problem);
  f.group = GroupNo(group);
  f.evidence = std::move(evidence);
  return f;
}

Finding in_group(Problem problem, uint32_t group, uint64_t expected, uint64_t found) {
  return in_group(problem, group, WrongNumber{expected, found});
}

Finding bits(uint32_t group, uint64_t block, uint64_t count, bool free = true) {
  Finding f = in_group(Problem::block_bitmap_mismatch, group, WrongBits{.should_be_set = !free});
  f.block = BlockNo(block);
  f.block_count = count;
  return f;
}

Finding at_block(Problem problem, uint32_t inode, uint64_t block) {
  Finding f = at_inode(problem, inode);
  f.block = BlockNo(block);
  return f;
}

Finding named(Finding f, std::string path) {
  f.path = std::move(path);
  return f;
}

// An inode that is garbage; the first of them is its cause.
std::vector<Finding> garbage(uint32_t inode) {
  return {at_inode(Problem::inode_checksum, inode), at_inode(Problem::inode_dtime_set, inode),
          at_inode(Problem::inode_mode, inode)};
}

Indices causes(std::vector<Finding> findings, std::vector<Finding> more = {}) {
  std::ranges::move(more, std::back_inserter(findings));
  return root_causes(findings);
}

}  // namespace

TEST_CASE("an inode of which many fields cannot be is one cause", "[causes]") {
  CHECK(causes(garbage(12)) == Indices{kNone, 0, 0});
  CHECK(causes({at_inode(Problem::inode_blocks, 12), at_inode(Problem::inode_dtime_set, 12), at_inode(Problem::inode_flags, 12),
                at_inode(Problem::inode_mode, 12)}) == Indices{3, 3, 3, kNone});
  CHECK(garbage_inodes(garbage(12)) == std::vector<size_t>{0});
}

TEST_CASE("two wrong fields do not make an inode garbage, nor do those of two inodes", "[causes]") {
  CHECK(causes({at_inode(Problem::inode_checksum, 12), at_inode(Problem::inode_dtime_set, 12)}) == Indices{kNone, kNone});
  CHECK(causes({at_inode(Problem::inode_flags, 12), at_inode(Problem::inode_flags, 12, "2"),
                at_inode(Problem::inode_flags, 12, "3")}) == Indices(3));
  CHECK(causes({at_inode(Problem::inode_checksum, 12), at_inode(Problem::inode_dtime_set, 12),
                at_inode(Problem::inode_mode, 13)}) == Indices(3));
}

TEST_CASE("what cannot be read, or was lost, follows from nothing", "[causes]") {
  for (const Problem problem :
       {Problem::read_error, Problem::data_unreadable, Problem::metadata_write_lost, Problem::metadata_block_misplaced})
    CHECK_FALSE(causes(garbage(12), {at_inode(problem, 12)})[3]);
}

TEST_CASE("an entry that names a garbage inode follows from it", "[causes]") {
  Finding entry = at_inode(Problem::entry_type, 11);
  entry.entry = EntryPlace{InodeNo(12), 40, "name"};
  CHECK(causes(garbage(12), {entry})[3] == 0);
  CHECK_FALSE(causes(garbage(13), {entry})[3]);
}

TEST_CASE("what is wrong in a block follows from its checksum, and not in another block", "[causes]") {
  const Finding checksum = at_block(Problem::directory_checksum, 12, 100);
  CHECK(causes({checksum, at_block(Problem::directory_record, 12, 100), at_block(Problem::directory_record, 12, 101),
                at_block(Problem::directory_record, 13, 100)}) == Indices{kNone, 0, kNone, kNone});
  CHECK(causes({in_group(Problem::group_desc_checksum, 0), in_group(Problem::block_bitmap_checksum, 0), bits(0, 50, 1),
                bits(1, 9000, 1)}) == Indices{kNone, 0, 0, kNone});
}

TEST_CASE("the rest of an inode follows from its damaged map", "[causes]") {
  CHECK(causes({at_inode(Problem::indirect_out_of_range, 12), at_inode(Problem::inode_blocks, 12),
                at_inode(Problem::inode_links, 12), at_inode(Problem::inode_blocks, 13)}) == Indices{kNone, 0, kNone, kNone});
}

TEST_CASE("a claim on blocks of another follows from the garbage inode that makes it", "[causes]") {
  CHECK(
      causes(garbage(12), {at_block(Problem::block_multiply_claimed, 12, 500), at_block(Problem::block_multiply_claimed, 14, 500),
                           at_block(Problem::block_multiply_claimed, 15, 501)}) == Indices{kNone, 0, 0, 0, 0, kNone});
}

TEST_CASE("bits that agree with the count beside them follow from the inodes", "[causes]") {
  const Finding counted = in_group(Problem::group_free_blocks, 0, 110, 100);
  const Finding total = in_group(Problem::superblock_free_blocks, 0, 1110, 1100);
  CHECK(causes(garbage(12), {bits(0, 50, 12), bits(0, 90, 2, false), counted, total}) == Indices{kNone, 0, 0, 0, 0, 0, 0});
  // The bitmap itself was changed: its count is that of the descriptor no more.
  const Indices other = causes(garbage(12), {bits(0, 50, 12), counted});
  CHECK_FALSE(other[3]);
  CHECK_FALSE(other[4]);
  CHECK_FALSE(causes(garbage(12), {bits(1, 9000, 12)})[3]);
  // The superblock is wrong by more than its groups are.
  CHECK_FALSE(causes(garbage(12), {bits(0, 50, 10), counted, in_group(Problem::superblock_free_blocks, 0, 1111, 1100)})[5]);
  CHECK_FALSE(causes(garbage(12),
                     {in_group(Problem::group_free_inodes, 0, 8, 7), in_group(Problem::superblock_free_inodes, 0, 9, 7)})[4]);
  // Nobody has lost blocks.
  CHECK(causes({bits(0, 50, 10), counted}) == Indices{kNone, 0});
}

TEST_CASE("bits count clusters", "[causes]") {
  const std::vector<Finding> findings{bits(0, 64, 60), in_group(Problem::group_free_blocks, 0, 14, 10)};
  CHECK(root_causes(findings, 16) == Indices{kNone, 0});
  CHECK(root_causes(findings) == Indices(2));
}

TEST_CASE("counts of inodes follow from bits, garbage and losses of the same group", "[causes]") {
  Finding bit = in_group(Problem::inode_bitmap_mismatch, 0, WrongBits{.should_be_set = false});
  bit.inode = InodeNo(30);
  const Finding lost = in_group(Problem::inodes_lost, 0);
  const Finding counted = in_group(Problem::group_free_inodes, 0, 8, 7);
  CHECK(causes({lost, bit, counted, in_group(Problem::superblock_free_inodes, 0, 9, 8)}) == Indices{kNone, 0, 0, 0});
  CHECK(causes({lost, in_group(Problem::group_used_dirs, 0, 1, 2), in_group(Problem::group_used_dirs, 1, 1, 2)}) ==
        Indices{kNone, 0, kNone});
  CHECK(causes(garbage(12), {in_group(Problem::group_used_dirs, 0, 1, 2)})[3] == 0);
}

TEST_CASE("the links of a directory follow from what is garbage in it, and those of others do not", "[causes]") {
  std::vector<Finding> findings = garbage(12);
  for (Finding& f : findings) f.path = "/usr/bin";
  Finding links = named(at_inode(Problem::inode_links, 11), "/usr");
  links.evidence = WrongNumber{3, 4};
  CHECK(causes(findings, {links})[3] == 0);
  links.path = "/usr/lib";
  CHECK_FALSE(causes(findings, {links})[3]);
  links.path.clear();
  CHECK_FALSE(causes(findings, {links})[3]);
}

TEST_CASE("no error is hidden behind a warning", "[causes]") {
  // Every problem there is, at one place, behind damage of each kind.
  std::vector<Finding> findings = garbage(12);
  for (const ProblemInfo& problem : problem_catalogue())
    for (const uint32_t inode : {11u, 12u, 13u}) findings.push_back(at_block(problem.problem, inode, 90));
  const Indices all = root_causes(findings);
  for (size_t i = 0; i < all.size(); ++i)
    if (all[i]) CHECK(info(findings[*all[i]].problem).severity == Severity::error);
  CHECK(root_causes(std::vector{in_group(Problem::inodes_lost, 0), in_group(Problem::names_lost, 0)})[1] == 0);
}

TEST_CASE("every cause is one itself by no other", "[causes]") {
  std::vector<Finding> findings = garbage(12);
  findings.push_back(at_block(Problem::extent_checksum, 12, 90));
  findings.push_back(at_block(Problem::extent_header, 12, 90));
  findings.push_back(bits(0, 50, 10));
  findings.push_back(in_group(Problem::group_free_blocks, 0, 110, 100));
  findings.push_back(in_group(Problem::superblock_free_blocks, 0, 110, 100));
  const Indices all = root_causes(findings);
  for (const auto& cause : all)
    if (cause) CHECK_FALSE(all[*cause]);
  CHECK(std::ranges::count(all, kNone) == 1);
}

}  // namespace extscrub::test
