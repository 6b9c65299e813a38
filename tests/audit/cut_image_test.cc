// Images whose end is missing: what is there is judged, what is not is named, and nothing is written. And images that are
// whole, but whose superblock says a wrong length.
#include <fmt/format.h>
#include <algorithm>

#include "scan/format/checksum.h"
#include "scan/format/superblock.h"
#include "tests/cli/cli_support.h"
#include "tests/support/audit_image.h"
#include "tests/support/catch.h"
#include "tests/support/disk_image.h"
#include "tests/support/journal_log.h"

using namespace extscrub;
using namespace extscrub::test;
namespace fs = std::filesystem;

namespace {

void cut(const TestImage& image, uint64_t blocks) { fs::resize_file(image.path(), image.offset(blocks) + 100); }

std::vector<Problem> problems_of(const Audit& audit) {
  std::vector<Problem> problems;
  for (const Finding& f : audit.findings) problems.push_back(f.problem);
  return problems;
}

bool has_problem(const Audit& audit, Problem problem) {
  return std::ranges::count(audit.findings, problem, &Finding::problem) > 0;
}

std::string failure_of(const TestImage& image) {
  const auto opened = Image::open(image.path());
  REQUIRE(opened);
  const auto audited = audit(*opened, nullptr, {});
  return audited ? describe(audited->findings) : text_of(audited.error());
}

}  // namespace

TEST_CASE("image that is cut short is audited as far as it goes", "[audit][cut]") {
  for (const std::string& set : feature_sets())
    for (const uint64_t percent : {90, 45, 20, 3}) {
      const TestImage image(set);
      const uint64_t end = image.superblock().s_blocks_count * percent / 100;
      cut(image, end);
      const Audit audit = audit_of(image);
      INFO(set << ", " << percent << " %: " << describe(audit.findings));
      CHECK(audit.verdict == Verdict::damaged);
      CHECK(count_when_limited(image) == audit.findings.size());
      REQUIRE(has_problem(audit, Problem::image_truncated));
      for (const Finding& f : audit.findings) {
        if (f.problem == Problem::lost_found_missing) continue;  // a note
        REQUIRE(f.block);
        CHECK(f.block->value >= end);
        CHECK(
            (f.problem == Problem::image_truncated || f.problem == Problem::read_error || f.problem == Problem::data_unreadable));
      }
    }
}

TEST_CASE("of an image that is cut short the files are named that reach behind its end", "[audit][cut]") {
  const TestImage image("ext4-plain");
  const uint64_t end = image.block_of("/big", 2);
  const uint64_t size = image.offset(image.superblock().s_blocks_count);
  cut(image, end);
  const Audit audit = audit_of(image);
  INFO(describe(audit.findings));
  const auto truncated = std::ranges::find(audit.findings, Problem::image_truncated, &Finding::problem);
  REQUIRE(truncated != audit.findings.end());
  CHECK(truncated->block == BlockNo(end));
  CHECK(truncated->block_count == image.superblock().s_blocks_count - end);
  CHECK(texts_of(truncated->evidence).expected == fmt::format("{} blocks ({} bytes)", image.superblock().s_blocks_count, size));
  CHECK(texts_of(truncated->evidence).found.contains(fmt::format("`truncate -s {} IMAGE`", size)));
  const auto big = std::ranges::find(audit.findings, InodeNo(image.inode_of("/big")), &Finding::inode);
  REQUIRE(big != audit.findings.end());
  CHECK(big->problem == Problem::data_unreadable);
  CHECK(big->path == "/big");
  CHECK(texts_of(big->evidence).found.ends_with(fmt::format("the first of them byte {}", 2 * image.block_size())));
  CHECK(big + 1 != audit.findings.end());  // others lie behind it
}

TEST_CASE("damage in front of the end is found all the same", "[audit][cut]") {
  const TestImage image("ext4-plain");
  const uint32_t inode = image.inode_of("/big");
  image.debugfs("sif /big links_count 0");
  image.debugfs("sif /dir links_count 1");
  image.debugfs("freeb 1");
  cut(image, image.superblock().s_blocks_count / 2);
  const Audit audit = audit_of(image);
  INFO(describe(audit.findings));
  CHECK(has_problem(audit, Problem::entry_inode_unused));
  CHECK(has_problem(audit, Problem::inode_links));
  CHECK(std::ranges::any_of(audit.findings, [](const Finding& f) {
    return f.problem == Problem::block_bitmap_mismatch && is_missing_bit(f.evidence);
  }));
  CHECK(std::ranges::any_of(audit.findings, [&](const Finding& f) {
    return f.problem == Problem::inode_bitmap_mismatch && f.inode == InodeNo(inode);
  }));
}

TEST_CASE("superblock that says too many blocks makes no image cut short", "[audit][cut]") {
  // A sound backup says what is right.
  for (const char* set : {"ext2-1k", "ext4-plain", "ext4-1k"}) {
    INFO(set);
    const TestImage image(set);
    image.patch<ext2_super_block>(kSuperblockOffset,
                                  [](ext2_super_block& s) { s.s_blocks_count += 20000, s.s_inodes_count += 0; });
    const Audit audit = audit_of(image);
    CHECK(has_problem(audit, Problem::superblock_primary_bad));
    CHECK_FALSE(has_problem(audit, Problem::image_truncated));
  }
  // Without one, the group's bitmap has no free block behind the end; and a checksum is wrong.
  for (const char* type : {"ext2", "ext4"}) {
    INFO(type);
    const TestImage image({"-t", type, "-b", "1024", "-O", "^has_journal,^resize_inode"}, "4M");
    image.patch<ext2_super_block>(kSuperblockOffset, [](ext2_super_block& s) { s.s_blocks_count += 500; });
    CHECK(failure_of(image) == "the superblock says 4596 blocks of 1024 bytes, the image holds 4096");
  }
  const TestImage flagged({"-t", "ext4", "-b", "1024", "-O", "^has_journal,^resize_inode,^metadata_csum,^uninit_bg"}, "20M");
  flagged.fill(flagged.offset(8193), 1024, std::byte{0});
  flagged.patch<ext2_super_block>(kSuperblockOffset, [](ext2_super_block& s) {
    s.s_blocks_count += 2 * 8192, s.s_inodes_count += 2 * s.s_inodes_per_group;
    s.s_feature_ro_compat &= ~uint32_t{EXT2_FEATURE_RO_COMPAT_SPARSE_SUPER};
    s.s_feature_compat |= EXT4_FEATURE_COMPAT_SPARSE_SUPER2;
  });
  CHECK(failure_of(flagged).starts_with("the superblock says 36864 blocks"));
}

TEST_CASE("image without checksums and without backups is known as cut short by its bitmap", "[audit][cut]") {
  const TestImage image({"-t", "ext2", "-b", "1024", "-O", "^resize_inode"}, "4M");
  cut(image, 3000);
  const Audit audit = audit_of(image);
  CHECK(problems_of(audit) == std::vector{Problem::image_truncated});
  image.fill(image.offset(image.block_bitmap(0)), 1024, std::byte{0xFF});
  CHECK(failure_of(image) == "the superblock says 4096 blocks of 1024 bytes, the image holds 3000");
}

TEST_CASE("superblock that says more than a hundred times what is there is not believed", "[audit][cut]") {
  const TestImage image({"-t", "ext4", "-b", "1024", "-O", "^has_journal,^resize_inode"}, "8M");
  for (const uint64_t blocks : {uint64_t{8192} * 101, uint64_t{1} << 31, uint64_t{1} << 48}) {
    INFO(blocks);
    image.patch<ext2_super_block>(kSuperblockOffset, [&](ext2_super_block& s) {
      s.s_blocks_count = static_cast<uint32_t>(blocks);
      s.s_blocks_count_hi = static_cast<uint32_t>(blocks >> 32);
      s.s_feature_incompat |= EXT4_FEATURE_INCOMPAT_64BIT;
      s.s_desc_size = 64;
      s.s_inodes_per_group = 8;
      s.s_inodes_count = static_cast<uint32_t>((blocks + 8191) / 8192 * 8);
      s.s_checksum = superblock_checksum(s);
    });
    const std::string failure = failure_of(image);
    INFO(failure);
    CHECK_FALSE(failure.contains("image-truncated"));
    CHECK((failure.starts_with("the superblock says") || failure.ends_with("more than an inode number can hold")));
  }
}

TEST_CASE("log of an image that is cut short is replayed where it is there", "[audit][cut]") {
  const TestImage image("ext4-1k");
  const uint64_t block = image.block_of("/big");
  test::JournalLog log(image, {});
  log.descriptor({{block, log.block_of('A')}});
  log.commit();
  const uint64_t blocks = image.superblock().s_blocks_count;
  cut(image, blocks - 100);
  CHECK(problems_of(audit_of(image)) == std::vector{Problem::journal_needs_recovery, Problem::image_truncated});
  const uint64_t journal = image.block_of("<8>", 3);
  REQUIRE(journal < blocks - 100);
  cut(image, journal);
  const Audit audit = audit_of(image);
  INFO(describe(audit.findings));
  CHECK(has_problem(audit, Problem::journal_needs_recovery));
  CHECK_FALSE(has_problem(audit, Problem::journal_log));
  CHECK_FALSE(has_problem(audit, Problem::journal_superblock));
}

TEST_CASE("an image that is cut short is damaged, and no scrub writes to it", "[cut]") {
  const TestImage image("ext4-1k");
  image.debugfs("sif /big blocks 7");
  const uint64_t size = image.size();
  cut(image, 12000);
  const uint64_t before = image.fingerprint();
  Tool tool;
  CHECK(tool({"audit", image.path()}) == 4);
  CHECK(tool.printed("image-truncated"));
  CHECK(tool.printed(fmt::format("`truncate -s {} IMAGE`\n", size)));
  CHECK(tool.printed("of the image (16672 of 28672 blocks could not be read)"));
  for (const char* repair : {"safe", "all"}) {
    CHECK(tool({"scrub", std::string("--repair=") + repair, image.path()}) == 12);
    CHECK(tool.said("the image is cut short, so nothing was written"));
    CHECK(image.fingerprint() == before);
  }
  // As the message says.
  fs::resize_file(image.path(), size);
  CHECK((tool({"scrub", "--repair=all", "--no-undo", image.path()}) & 8) == 0);
  CHECK(image.e2fsck() == 0);
}

TEST_CASE("of a copy that ddrescue has not finished its map and its end are unread", "[cut]") {
  const TestImage image("ext4-plain");
  TempDir directory;
  const uint64_t first = image.offset(image.block_of("/big", 1)), end = image.block_of("/big", 5);
  const auto map =
      write_file(directory.path() / "map", fmt::format("0 ?\n0 {0} +\n{0} 1024 -\n{1} {2} +\n{3} 0x40000000 ?\n", first,
                                                       first + 1024, image.offset(end) - first - 1024, image.offset(end)));
  cut(image, end);
  Tool tool;
  CHECK(tool({"audit", "--verbose", "--ddrescue-map", map, image.path()}) == 12);
  CHECK(tool.printed("image-truncated"));
  CHECK(tool.printed("found bytes 1024-2047"));
  CHECK(tool.printed("the first of them byte 5120"));
}

TEST_CASE("partition that ends behind the end of its disk's image is audited as far as it goes", "[cut][targets]") {
  const TestImage image("ext4-1group");
  const std::string whole = read_file(image.path());
  std::string disk = gpt_disk(16 * kMiB, {{kLinuxFiles, kMiB, 7 * kMiB}});
  disk.replace(kMiB, whole.size(), whole);
  disk.resize(6 * kMiB);
  TempDir directory;
  const auto path = write_file(directory.path() / "disk.img", disk);
  Tool tool;
  CHECK(tool({"audit", path}) == 4);
  CHECK(tool.printed("image-truncated"));
  CHECK(tool.printed(fmt::format("`truncate -s {} IMAGE`", 8 * kMiB)));
  CHECK(tool.printed("#p1: damaged"));
  CHECK(tool({"scrub", path}) == 12);
  CHECK(read_file(path) == disk);

  // Where the file goes on behind the partition, `truncate` would cut it.
  std::string small = gpt_disk(16 * kMiB, {{kLinuxFiles, kMiB, 5 * kMiB}});
  small.replace(kMiB, whole.size(), whole);
  write_file(path, small);
  CHECK(tool({"audit", path}) == 4);
  CHECK(tool.printed("image-truncated"));
  CHECK_FALSE(tool.printed("truncate -s"));
}
