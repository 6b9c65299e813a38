// Images that look odd and are sound: what no kernel minds, and e2fsck does not count as an error, is none.

#include <random>

#include "tests/support/audit_image.h"
#include "tests/support/catch.h"

namespace extscrub::test {

namespace {

struct Oddity {
  std::string_view name;
  std::string_view feature_set;
  void (*make)(const TestImage&);
};

const Oddity kOddities[] = {
    {"file with a flag of the compression that never came", "ext4-1k",
     [](const TestImage& image) { image.debugfs("sif /three flags 0x80200"); }},
    {"indexed directory with a link count of 1, as one that was too full to count keeps", "ext4-1k",
     [](const TestImage& image) {
       (void)run({"e2fsck", "-fyD", image.path()});
       image.debugfs("sif /many links_count 1");
     }},
    {"block numbers in a journal's inode that the superblock does not name", "ext2-1k",
     [](const TestImage& image) {
       image.debugfs("sif <8> block[2] 268435456");
       image.debugfs("sif <8> block[IND] 2129");
     }},
    {"block numbers in reserved inodes that are not set up", "ext4-1k",
     [](const TestImage& image) {
       image.debugfs("sif <5> block[0] 5");
       image.debugfs("sif <9> block[0] 999999999");
     }},
    {"attribute block behind the end in reserved inodes that are not set up", "ext4-1k",
     [](const TestImage& image) {
       image.debugfs("sif <9> file_acl 99999999");
       image.debugfs("sif <10> file_acl 99999999");
     }},
};

}  // namespace

TEST_CASE("odd but sound image has no errors", "[audit][image]") {
  for (const Oddity& oddity : kOddities) {
    INFO(oddity.feature_set << ": " << oddity.name);
    const TestImage image(oddity.feature_set);
    const uint64_t before = image.fingerprint();
    oddity.make(image);
    CHECK(image.fingerprint() != before);
    const Outcome outcome = image.e2fsck_report();
    INFO(outcome.output);
    CHECK(outcome.status == 0);
    const Audit audit = audit_of(image);
    CHECK(describe(audit.findings) == "");
    CHECK(audit.verdict == Verdict::clean);
  }
}

TEST_CASE("flags of directories in reserved inodes that are not set up are damage, as for e2fsck", "[audit][image]") {
  const auto [inode, flags] = GENERATE(table<int, const char*>({{1, "0x40000000"},
                                                                {5, "0x40000000"},
                                                                {7, "0x40000000"},
                                                                {9, "0x40000000"},
                                                                {10, "0x40000000"},
                                                                {5, "0x1000"},
                                                                {6, "0x1000"},
                                                                {9, "0x1000"}}));
  const TestImage image("ext4-1k");
  image.debugfs(fmt::format("sif <{}> flags {}", inode, flags));
  INFO(inode << " " << flags);
  CHECK(image.e2fsck() == 4);
  CHECK(std::ranges::any_of(audit_of(image).findings, [](const Finding& f) { return f.problem == Problem::inode_flags; }));
  check_proven_repair(image, RepairPolicy::all);
}

TEST_CASE("a reserved inode that nothing leads to and that holds other bytes is one finding, and cleared whole",
          "[audit][image]") {
  const auto kind = GENERATE("ext4-1k", "ext3-1k");  // with checksums and without
  const auto inode = GENERATE(5u, 6u, 9u, 10u);
  const TestImage image(kind);
  std::mt19937 random(inode);
  for (uint32_t at = 0; at < EXT2_GOOD_OLD_INODE_SIZE; at += 4)
    image.poke(image.inode_offset(inode) + at, static_cast<uint32_t>(random() | 1));
  INFO(kind << ", inode " << inode);
  const Audit audit = audit_of(image);
  INFO(describe(audit.findings));
  CHECK(std::ranges::count(audit.findings, InodeNo(inode), &Finding::inode) == (std::string_view(kind) == "ext4-1k" ? 2 : 1));
  check_proven_repair(image, RepairPolicy::all);
}

// e2fsck writes such counts into sound images, so they cannot be damage; but they are not what the kernel counts.
TEST_CASE("quota that leaves out inline symbolic links, as e2fsck writes it, is only a warning", "[audit][image]") {
  const TempDir tree;
  std::filesystem::create_symlink(std::string(80, 't'), tree.path() / "link");
  const TestImage image({"-b", "1024", "-I", "256", "-O", "inline_data,quota"}, "12M", tree.path());
  (void)run({"e2fsck", "-fy", image.path()});
  CHECK(image.e2fsck() == 0);
  const Audit audit = audit_of(image);
  INFO(describe(audit.findings));
  CHECK(std::ranges::count(audit.findings, Problem::inline_symlink_uncounted, &Finding::problem) == 2);
  CHECK(audit.findings.size() == 2);
  CHECK(audit.verdict == Verdict::clean);
}

// What such a feature adds to the format could not be judged, whether or not the kernel mounts the image.
TEST_CASE("image with a feature that is not known is not audited", "[audit][image]") {
  const std::pair<__u32 ext2_super_block::*, uint32_t> kFeatures[] = {
      {&ext2_super_block::s_feature_compat, 1u << 29},
      {&ext2_super_block::s_feature_incompat, 1u << 29},
      {&ext2_super_block::s_feature_ro_compat, 1u << 29},
      {&ext2_super_block::s_feature_ro_compat, EXT4_FEATURE_RO_COMPAT_REPLICA},
  };
  for (const auto& [field, bit] : kFeatures) {
    const TestImage image("ext4-plain");
    image.patch<ext2_super_block>(kSuperblockOffset, [&](ext2_super_block& s) { s.*field |= bit; });
    const Result<Image> opened = Image::open(image.path());
    REQUIRE(opened);
    const Result<Audit> audited = audit(*opened, nullptr, {});
    REQUIRE_FALSE(audited);
    CHECK(text_of(audited.error()).contains("unknown feature"));
    CHECK(image.e2fsck() >= 8);
  }
}

// e2fsck says nothing of it, and no system mounts it.
TEST_CASE("image of the Hurd with a feature that it does not have is damage", "[unusual]") {
  const auto [kind, spoilt] = GENERATE(table<const char*, bool>(
      {{"ext4-1group", true}, {"ext4-plain", true}, {"ext4-eainode", true}, {"ext4-no64", false}, {"ext2-1k", false}}));
  const TestImage image(kind);
  image.debugfs("ssv creator_os 1");
  INFO(kind);
  CHECK(image.e2fsck() == 0);
  const Audit audit = audit_of(image);
  INFO(describe(audit.findings));
  CHECK(std::ranges::any_of(audit.findings, [](const Finding& f) { return f.field == "s_creator_os"; }) == spoilt);
  CHECK(audit.verdict == (spoilt ? Verdict::damaged : Verdict::clean));
  if (!spoilt) return;
  const bool known = std::string_view(kind) != "ext4-1group";  // by a backup
  const Result<Image> opened = Image::open(image.path());
  REQUIRE(opened);
  CHECK(plan_of(*opened, RepairPolicy::safe).proven_clean == known);
  check_proven_repair(image, known ? RepairPolicy::safe : RepairPolicy::all);
  CHECK(image.superblock().s_creator_os == EXT2_OS_LINUX);
}

TEST_CASE("bit of the creator that was flipped is put back, and not sealed", "[unusual]") {
  const TestImage image("ext4-1k");
  image.poke(1024 + offsetof(ext2_super_block, s_creator_os), uint32_t{EXT2_OS_HURD});
  CHECK(audit_of(image).findings.size() == 1);
  check_proven_repair(image, RepairPolicy::safe);
  CHECK(image.superblock().s_creator_os == EXT2_OS_LINUX);
}

TEST_CASE("block of a passive translator of the Hurd is in use, counted in i_blocks or not", "[unusual]") {
  const TestImage image("ext2-1k");
  const uint64_t block = image.block_of("/other");
  const uint32_t inode = image.inode_of("/small");
  image.debugfs("ssv creator_os 1");
  image.debugfs(fmt::format("sif /small translator {}", block));
  // The block that was /other's.
  image.debugfs("sif /other block[0] 0");
  image.debugfs("sif /other blocks 0");
  image.debugfs("sif /other size 0");
  for (const uint32_t blocks : {2, 4}) {
    image.debugfs(fmt::format("sif <{}> blocks {}", inode, blocks));
    INFO(blocks);
    const Audit audit = audit_of(image);
    INFO(describe(audit.findings));
    CHECK(audit.verdict == Verdict::clean);
    CHECK(image.e2fsck() == 0);
  }
}

}  // namespace extscrub::test
