// Files with fs-verity on a file system without that feature: whatever else is mended, the flag stays, and with it the
// length, behind which the Merkle tree lies.
#include <fmt/format.h>

#include <algorithm>

#include "tests/support/audit_image.h"
#include "tests/support/catch.h"

namespace extscrub::test {

namespace {

// Flags of a file with an extent tree and a Merkle tree; as those, with IMAGIC_FL, which no file of the image may have.
constexpr const char* kVerity = "0x180000";
constexpr const char* kVerityAndImagic = "0x182000";

std::string flags_of(const TestImage& image, const char* file) {
  const std::string stat = image.debugfs(fmt::format("stat {}", file));
  const size_t at = stat.find("Flags: ");
  return stat.substr(at, stat.find('\n', at) - at);
}

// By all repairs; the image must be sound then, but for the warning.
void mend_all_but_verity(const TestImage& image, RepairPolicy policy) {
  const Result<Image> opened = Image::open(image.path());
  REQUIRE(opened);
  const RepairPlan plan = plan_of(*opened, policy);
  apply(image, plan);
  INFO("before:\n" << describe(plan.before.findings) << "after:\n" << describe(plan.after.findings));
  CHECK(plan.proven_clean);
  CHECK(std::ranges::count(plan.after.findings, Problem::inode_verity_unsupported, &Finding::problem) == 1);
  CHECK(plan.after.findings.size() == 1);
  const Outcome judgement = image.e2fsck_report();
  INFO(judgement.output);
  CHECK(judgement.status == 0);
}

}  // namespace

TEST_CASE("repairs keep the verity flag where the feature is off, and do not lengthen the file", "[repair][verity]") {
  const TestImage image("ext4-1k");
  image.debugfs(fmt::format("sif /big flags {}", kVerityAndImagic));
  image.debugfs("sif /big size 2000");
  mend_all_but_verity(image, RepairPolicy::all);
  CHECK(flags_of(image, "/big").contains(kVerity));
  CHECK(image.debugfs("stat /big").contains("Size: 2000"));
}

TEST_CASE("file with fs-verity where the feature is off is sealed again", "[repair][verity]") {
  const TestImage image("ext4-1k");
  const uint32_t inode = image.inode_of("/big");
  image.debugfs(fmt::format("sif /big flags {}", kVerity));
  image.patch<uint32_t>(image.inode_offset(inode) + offsetof(ext2_inode, i_mtime), [](uint32_t& t) { t = 7; });
  mend_all_but_verity(image, RepairPolicy::all);
  CHECK(flags_of(image, "/big").contains(kVerity));
}

TEST_CASE("file with fs-verity is nothing to speak of where the feature is on", "[audit][verity]") {
  const TestImage image("ext4-stable");
  image.debugfs(fmt::format("sif /three flags {}", kVerity));
  CHECK(describe(audit_of(image).findings) == "");
}

TEST_CASE("what is only remarked of an inode does not keep its checksum from being sealed", "[repair]") {
  const TestImage image("ext4-1k");
  const uint32_t inode = image.inode_of("/three");
  poke_inode(image, inode, &ext2_inode_large::i_atime, 0x80000001);
  poke_inode(image, inode, &ext2_inode_large::i_atime_extra, 3);
  poke_inode(image, inode, &ext2_inode_large::i_flags,
             image.peek<ext2_inode>(image.inode_offset(inode)).i_flags | EXT4_VERITY_FL);
  const Audit before = audit_of(image);
  INFO(describe(before.findings));
  CHECK(before.findings.size() == 3);
  const Image opened = *Image::open(image.path());
  const RepairPlan plan = plan_of(opened, RepairPolicy::all);
  CHECK(plan.proven_clean);
  CHECK(plan.after.findings.size() == 2);
  apply(image, plan);
  CHECK(image.e2fsck() == 0);
}

}  // namespace extscrub::test
