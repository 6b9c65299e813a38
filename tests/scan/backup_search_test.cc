// A superblock that is gone, and backups at places that mke2fs does not use by itself.
#include <fmt/format.h>

#include <array>

#include "scan/format/checksum.h"
#include "scan/format/superblock.h"
#include "tests/cli/cli_support.h"
#include "tests/support/audit_image.h"
#include "tests/support/catch.h"

using namespace extscrub;
using namespace extscrub::test;

namespace {

TestImage image_of(const std::string& block_size, const std::string& group_blocks, const std::string& features) {
  return TestImage({"-t", "ext4", "-b", block_size, "-g", group_blocks, "-O", "^has_journal" + features}, "40M");
}

// Why the image cannot be audited.
std::string refusal_of(const TestImage& image) {
  const auto opened = Image::open(image.path());
  REQUIRE(opened);
  const auto audited = audit(*opened, nullptr, {});
  return audited ? fmt::format("goes by block {}", audited->info.superblock_block) : text_of(audited.error());
}

Result<Audit> try_audit(const TestImage& image) {
  const auto opened = Image::open(image.path());
  REQUIRE(opened);
  return audit(*opened, nullptr, {});
}

}  // namespace

TEST_CASE("superblock that is gone is replaced by a backup of a group of any size", "[audit][superblock]") {
  for (const char* block_size : {"1024", "2048", "4096"})
    for (const char* group_blocks : {"1024", "2048", "4096", "8192"})
      for (const char* features : {"", ",sparse_super2,^resize_inode"})
        for (const bool whole_group : {false, true}) {
          INFO(block_size << " " << group_blocks << features << whole_group);
          const TestImage image = image_of(block_size, group_blocks, features);
          const ext2_super_block super = image.superblock();
          const uint64_t first_group = image.offset(super.s_blocks_per_group + super.s_first_data_block);
          if (image.size() <= first_group) continue;  // there is but one group
          image.fill(0, whole_group ? first_group : std::min<uint64_t>(first_group, 1 << 20), std::byte{0});
          const auto audit = try_audit(image);
          REQUIRE(audit);
          CHECK(std::ranges::count(audit->findings, Problem::superblock_primary_bad, &Finding::problem) == 1);
          CHECK(audit->info.superblock_block > 0);
          CHECK((audit->info.superblock_block - super.s_first_data_block) % super.s_blocks_per_group == 0);
        }
}

TEST_CASE("backups that no checksum proves are named, and the one that is asked for is gone by", "[audit][superblock]") {
  for (const char* block_size : {"1024", "4096"}) {
    INFO(block_size);
    const TestImage image = image_of(block_size, "1024", ",^metadata_csum,^uninit_bg");
    const uint64_t backup = 1024 + image.superblock().s_first_data_block;
    image.fill(0, 1 << 20, std::byte{0});
    Tool tool;
    CHECK(tool({"audit", image.path()}) == 8);
    CHECK(tool.said(
        fmt::format("no ext2, ext3 or ext4 superblock; what looks like its backup: --superblock {} --block-size {}, or ", backup,
                    block_size)));
    CHECK(tool.printed(": unreadable"));
    CHECK(tool({"audit", "--superblock", std::to_string(backup), "--block-size", block_size, image.path()}) == 4);
    CHECK(tool({"audit", "--block-size", "2048", image.path()}) == 8);
    CHECK_FALSE(tool.said("what looks like its backup"));
  }
}

TEST_CASE("superblocks that lie elsewhere than they say are no backups of the image", "[audit][superblock]") {
  // An image in a file of an image.
  const TestImage inner = image_of("1024", "1024", ""), outer = image_of("1024", "1024", "");
  std::vector<std::byte> bytes(inner.size() / 2);
  inner.read(0, bytes);
  outer.fill(0, outer.size(), std::byte{0});
  outer.write(5 << 20, bytes);
  CHECK(refusal_of(outer) == "no ext2, ext3 or ext4 superblock");
  // Two file systems, one after the other, in one place: nothing tells which it was.
  outer.write(0, bytes);
  outer.patch<ext2_super_block>(outer.offset(1025), [](ext2_super_block& s) {
    s.s_uuid[0] ^= 1;
    s.s_checksum = superblock_checksum(s);
  });
  outer.fill(0, 1 << 20, std::byte{0});
  CHECK(refusal_of(outer).contains("--superblock 1025 --block-size 1024, or --superblock 3073"));
}

TEST_CASE("image that is cut short and has lost its superblock", "[audit][superblock][cut]") {
  const TestImage image = image_of("4096", "2048", "");
  std::filesystem::resize_file(image.path(), image.size() / 2);
  image.fill(0, 1 << 20, std::byte{0});
  const auto audit = try_audit(image);
  REQUIRE(audit);
  CHECK(std::ranges::count(audit->findings, Problem::superblock_primary_bad, &Finding::problem) == 1);
  CHECK(std::ranges::count(audit->findings, Problem::image_truncated, &Finding::problem) == 1);
}

TEST_CASE("scrub of an image with groups of 1024 blocks and no primary superblock", "[superblock]") {
  const TestImage image = image_of("1024", "1024", "");
  image.fill(1024, 1024, std::byte{0});
  Tool tool;
  CHECK((tool({"scrub", "--repair=all", "--no-undo", image.path()}) & ~1) == 0);
  CHECK(tool.printed("repaired"));
  CHECK(image.e2fsck() == 0);
}
