// A journal that lies where it cannot: it is made anew, in the room there is, and what it lay on stays.
#include <fmt/format.h>

#include <algorithm>

#include "tests/support/audit_image.h"
#include "tests/support/catch.h"

namespace extscrub::test {

namespace {

// Maps the second half of the journal to other blocks; what it had is free.
void map_second_half(const TestImage& image, uint32_t to) {
  const uint64_t header = image.map_offset(EXT2_JOURNAL_INO), first = header + sizeof(ext3_extent_header);
  const auto all = image.peek<ext3_extent>(first);
  const auto half = static_cast<uint16_t>(all.ee_len / 2);
  image.patch<ext3_extent_header>(header, [](ext3_extent_header& h) { h.eh_entries = 2; });
  image.patch<ext3_extent>(first, [&](ext3_extent& e) { e.ee_len = half; });
  ext3_extent second{};
  second.ee_block = half;
  second.ee_len = static_cast<uint16_t>(all.ee_len - half);
  second.ee_start = to;
  image.poke(first + sizeof(ext3_extent), second);
  image.debugfs("sif <8> mtime @1700000000", true);  // seals the inode
  image.debugfs(fmt::format("freeb {} {}", all.ee_start + half, all.ee_len - half));
}

// Leaves so many blocks free, about. debugfs has not counted the half of the journal that it freed.
void fill(const TestImage& image, uint32_t free, uint32_t journal) {
  image.debugfs("write /dev/null full");
  image.debugfs(fmt::format("fallocate full 0 {}", image.superblock().s_free_blocks_count + journal / 2 - free));
}

RepairPlan repair_journal(const TestImage& image) {
  const Result<Image> opened = Image::open(image.path());
  REQUIRE(opened);
  RepairPlan plan = plan_of(*opened, RepairPolicy::all);
  apply(image, plan);
  INFO("before:\n" << describe(plan.before.findings) << "after:\n" << describe(plan.after.findings));
  CHECK(plan.proven_clean);
  const Outcome judgement = image.e2fsck_report();
  INFO(judgement.output);
  CHECK(judgement.status == 0);
  return plan;
}

bool has_journal(const TestImage& image) { return image.superblock().s_feature_compat & EXT3_FEATURE_COMPAT_HAS_JOURNAL; }

uint32_t journal_blocks(const TestImage& image) {
  return image.peek<ext2_inode>(image.inode_offset(EXT2_JOURNAL_INO)).i_size / image.block_size();
}

}  // namespace

TEST_CASE("journal with one block at two places of its log is made anew", "[repair][journal]") {
  for (const auto& [at, of] : {std::pair("0", "5"), std::pair("1", "2"), std::pair("11", "0"), std::pair("IND", "3")}) {
    INFO("block[" << at << "] = block[" << of << "]");
    const TestImage image({"-t", "ext3", "-b", "1024", "-J", "size=1"}, "4M");
    const auto map = image.peek<std::array<uint32_t, 15>>(image.map_offset(EXT2_JOURNAL_INO));
    image.debugfs(fmt::format("sif <8> block[{}] {}", at, map[std::stoul(of)]));
    (void)repair_journal(image);
    CHECK(has_journal(image));
    CHECK(journal_blocks(image) == 1024);
  }
}

TEST_CASE("journal on an inode table is made anew, and the table stays", "[repair][journal]") {
  const TestImage image("ext4-1k");
  const auto root = image.peek<std::array<std::byte, 128>>(image.inode_offset(EXT2_ROOT_INO));
  const uint32_t length = journal_blocks(image);
  map_second_half(image, image.descriptor(0).bg_inode_table);
  const RepairPlan plan = repair_journal(image);
  CHECK(image.peek<std::array<std::byte, 128>>(image.inode_offset(EXT2_ROOT_INO)) == root);
  CHECK(has_journal(image));
  CHECK(journal_blocks(image) == length);
  CHECK(std::ranges::any_of(plan.losses, [](const Loss& l) { return l.inode.value == EXT2_JOURNAL_INO; }));
}

TEST_CASE("journal on metadata of an image with no room for another is taken away", "[repair][journal][full]") {
  const TestImage image("ext4-1k");
  const uint32_t length = journal_blocks(image);
  map_second_half(image, image.descriptor(0).bg_inode_table);
  fill(image, 10, length);
  (void)repair_journal(image);
  // What the old one leaves free is less than the smallest journal.
  CHECK_FALSE(has_journal(image));
}

TEST_CASE("journal whose size its blocks do not cover, be it by two bytes, is damage, and taken from its backup",
          "[repair][journal]") {
  const TestImage image("ext4-1k");
  const auto size = image.peek<uint32_t>(image.inode_offset(8) + offsetof(ext2_inode, i_size));
  const uint32_t more = GENERATE(2u, 1023u, 1024u);
  image.debugfs(fmt::format("sif <8> size {}", size + more));
  CHECK(image.e2fsck() != 0);
  const auto opened = Image::open(image.path());
  REQUIRE(opened);
  const RepairPlan plan = plan_of(*opened, RepairPolicy::all);
  apply(image, plan);
  INFO(describe(plan.before.findings));
  CHECK(std::ranges::any_of(plan.before.findings, [](const Finding& f) { return f.problem == Problem::journal_inode_missing; }));
  CHECK(plan.proven_clean);
  CHECK(image.peek<uint32_t>(image.inode_offset(8) + offsetof(ext2_inode, i_size)) == size);
  CHECK(image.e2fsck() == 0);
}

TEST_CASE("new journal is as long as there is room for", "[repair][journal][full]") {
  const TestImage image("ext4-1k");
  const uint32_t length = journal_blocks(image);
  map_second_half(image, image.descriptor(0).bg_inode_table);
  fill(image, length * 3 / 4, length);
  (void)repair_journal(image);
  CHECK(has_journal(image));
  CHECK(journal_blocks(image) == length);  // what is free, and half of the old one
}

}  // namespace extscrub::test
