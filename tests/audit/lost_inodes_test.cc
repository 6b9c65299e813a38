// Inodes that are gone with their part of the inode table: that they are said to be, whatever else is damaged beside it.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>

#include "tests/support/audit_image.h"
#include "tests/support/catch.h"

namespace extscrub::test {

namespace {

// 60 files in 6 directories, all in group 0.
TestImage lost_inodes_image(std::vector<std::string> options) {
  const TempDir tree;
  for (unsigned d = 1; d <= 6; ++d) {
    const auto directory = tree.path() / fmt::format("d{}", d);
    std::filesystem::create_directory(directory);
    for (unsigned f = 1; f <= 10; ++f) std::ofstream(directory / fmt::format("f{}", f)) << "hello";
  }
  return {options, "32M", tree.path()};
}

void zero_table(const TestImage& image, uint64_t from, uint64_t blocks = 100) {
  image.fill(image.offset(image.descriptor(0).bg_inode_table + from), blocks * image.block_size(), std::byte{0});
}

uint32_t lost_inodes(const std::vector<Finding>& findings) {
  uint32_t lost = 0;
  for (const Finding& f : findings)
    if (f.problem == Problem::inodes_lost) {
      const std::string found = texts_of(f.evidence).found;
      lost += static_cast<uint32_t>(std::stoul(found.substr(found.find_first_of("0123456789"))));
    }
  return lost;
}

bool has_lost_names(const std::vector<Finding>& findings) {
  return std::ranges::any_of(findings, [](const Finding& f) { return f.problem == Problem::names_lost; });
}

// The safe repair leaves everything, the other one says what it loses.
void check_mended(const TestImage& image) {
  const auto plan = [&](RepairPolicy policy) { return plan_of(*Image::open(image.path()), policy); };
  CHECK(lost_inodes(plan(RepairPolicy::safe).after.findings) > 0);
  const RepairPlan all = plan(RepairPolicy::all);
  CHECK(all.proven_clean);
  CHECK(std::ranges::any_of(all.losses, [](const Loss& l) { return l.problem == Problem::inodes_lost; }));
}

const std::vector<std::string> kExt2{"-t", "ext2", "-b", "1024"}, kExt4{"-t", "ext4", "-b", "1024"};

}  // namespace

TEST_CASE("without a journal the inodes of a zeroed first mebibyte are gone by the backups", "[bitmap][repair]") {
  const std::string shape = GENERATE("ext2", "ext4, 1 KiB", "ext4, 4 KiB");
  std::vector<std::string> options = kExt2;
  if (shape == "ext4, 1 KiB") options = {"-t", "ext4", "-b", "1024", "-O", "^has_journal"};
  if (shape == "ext4, 4 KiB") options = {"-t", "ext4", "-b", "4096", "-g", "1024", "-O", "^has_journal"};
  const TestImage image = lost_inodes_image(options);
  image.fill(0, 1 << 20, std::byte{0});
  CHECK(lost_inodes(audit_of(image).findings) == 67);
  check_mended(image);
}

TEST_CASE("many blank inodes are gone though the file system was not unmounted", "[bitmap][repair]") {
  const TestImage image = lost_inodes_image(kExt2);
  image.debugfs("ssv state 0");
  zero_table(image, 0);
  const Audit audit = audit_of(image);
  CHECK(lost_inodes(audit.findings) == 67);
  CHECK(has_lost_names(audit.findings));
  check_mended(image);
}

TEST_CASE("a few blank inodes are what a crash leaves without a journal", "[bitmap]") {
  const TestImage image = lost_inodes_image(kExt2);
  for (unsigned f = 1; f <= 5; ++f) image.debugfs(fmt::format("clri /d1/f{}", f));
  CHECK(lost_inodes(audit_of(image).findings) == 5);
  image.debugfs("ssv state 0");
  CHECK(lost_inodes(audit_of(image).findings) == 0);
}

TEST_CASE("a count or a bit that is off hides no inodes that are gone", "[bitmap][repair]") {
  const std::vector<std::string> options = GENERATE(kExt2, kExt4);
  const std::string off = GENERATE("count", "bit");
  const TestImage image = lost_inodes_image(options);
  zero_table(image, 3);
  const uint32_t before = lost_inodes(audit_of(image).findings);
  if (off == "count") {
    image.debugfs(fmt::format("set_bg 0 free_inodes_count {}", image.descriptor(0).bg_free_inodes_count - 1));
    image.debugfs("set_bg 0 checksum calc");
  } else {
    image.debugfs("seti <200>");
  }
  CAPTURE(options, off);
  const Audit audit = audit_of(image);
  CHECK(before >= 50);
  CHECK(lost_inodes(audit.findings) >= before);
  CHECK(lost_inodes(audit.findings) <= before + 1);
  CHECK(has_lost_names(audit.findings));
  check_mended(image);
}

TEST_CASE("the bitmap and the superblock know of inodes that are gone where the descriptors are, too", "[bitmap][repair]") {
  const TestImage image = lost_inodes_image(kExt4);
  zero_table(image, 3);
  const uint32_t before = lost_inodes(audit_of(image).findings);
  image.fill(image.descriptor_offset(0), image.block_size(), std::byte{0});
  const Audit audit = audit_of(image);
  CHECK(before >= 50);
  CHECK(lost_inodes(audit.findings) == before);
  CHECK(has_lost_names(audit.findings));
  check_mended(image);
}

TEST_CASE("the descriptor alone is enough to tell that most inodes are gone", "[bitmap][repair]") {
  const TestImage image = lost_inodes_image(kExt2);
  zero_table(image, 0);
  image.fill(image.offset(image.inode_bitmap(0)), image.block_size(), std::byte{0});
  image.debugfs("ssv free_inodes_count 7000");
  const Audit audit = audit_of(image);
  CHECK(lost_inodes(audit.findings) == 67);
  CHECK(has_lost_names(audit.findings));
  check_mended(image);
}

TEST_CASE("inodes under noise are gone", "[bitmap][repair]") {
  const std::vector<std::string> options = GENERATE(kExt2, kExt4);
  const bool random = GENERATE(true, false);
  const TestImage image = lost_inodes_image(options);
  std::vector<std::byte> bytes(100 * image.block_size(), std::byte{0xFF});
  std::mt19937 source(7);
  if (random) std::ranges::generate(bytes, [&] { return static_cast<std::byte>(source()); });
  image.write(image.offset(image.descriptor(0).bg_inode_table), bytes);
  const Audit audit = audit_of(image);
  CAPTURE(options, random);
  CHECK(lost_inodes(audit.findings) >= 66);
  CHECK(lost_inodes(audit.findings) <= 67);
  CHECK(has_lost_names(audit.findings));
}

TEST_CASE("a bitmap full of ones tells of no inodes that are gone", "[bitmap]") {
  const TestImage image = lost_inodes_image(kExt2);
  image.fill(image.offset(image.inode_bitmap(0)), image.block_size(), std::byte{0xFF});
  CHECK(lost_inodes(audit_of(image).findings) == 0);
}

}  // namespace extscrub::test
