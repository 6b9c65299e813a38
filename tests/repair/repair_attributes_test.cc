// What the repairs of attributes and quota files keep, and what they say is lost.
#include <fmt/format.h>

#include <algorithm>

#include "scan/format/crc.h"
#include "scan/format/quota_format.h"
#include "tests/support/audit_image.h"
#include "tests/support/catch.h"

namespace extscrub::test {

namespace {

uint64_t entries_in_inode(const TestImage& image, uint32_t inode) {
  const uint64_t at = image.inode_offset(inode);
  return at + EXT2_GOOD_OLD_INODE_SIZE + image.peek<ext2_inode_large>(at).i_extra_isize + sizeof(uint32_t);
}

uint64_t ea_block(const TestImage& image, uint32_t inode) {
  return image.offset(image.peek<ext2_inode>(image.inode_offset(inode)).i_file_acl);
}

// The n-th entry of a list.
uint64_t entry(const TestImage& image, uint64_t at, int n) {
  for (; n > 0; --n) at += EXT2_EXT_ATTR_LEN(image.peek<ext2_ext_attr_entry>(at).e_name_len);
  return at;
}

void set(const TestImage& image, const std::string& name, char c, size_t size) {
  image.debugfs(fmt::format("ea_set /three user.{} {}", name, std::string(size, c)));
}

// As debugfs reads it, which checks hashes and bounds; empty when there is none.
std::string get(const TestImage& image, const std::string& name) {
  const std::string said = image.debugfs("ea_get /three user." + name);
  const auto from = said.find('"');
  return from == std::string::npos ? "" : said.substr(from + 1, said.rfind('"') - from - 1);
}

RepairPlan scrub(const TestImage& image, RepairPolicy policy = RepairPolicy::all) {
  const Result<Image> opened = Image::open(image.path());
  REQUIRE(opened);
  RepairPlan plan = plan_of(*opened, policy);
  apply(image, plan);
  return plan;
}

void require_sound(const TestImage& image, const RepairPlan& plan) {
  INFO("before:\n" << describe(plan.before.findings) << "after:\n" << describe(plan.after.findings));
  CHECK(plan.proven_clean);
  const Outcome judgement = image.e2fsck_report();
  INFO(judgement.output);
  CHECK(judgement.status == 0);
}

std::vector<std::string> losses(const RepairPlan& plan) {
  std::vector<std::string> result;
  for (const Loss& loss : plan.losses) result.push_back(fmt::format("{}: {}", loss.path, loss.what));
  return result;
}

// The entry of that id in a quota file of blocks of 1 KiB, in the image; 0 when there is none.
uint64_t quota_entry(const TestImage& image, uint32_t inode, uint32_t id) {
  const uint64_t blocks = image.peek<ext2_inode>(image.inode_offset(inode)).i_size / image.block_size();
  for (uint64_t b = 2; b < blocks; ++b) {
    const uint64_t at = image.offset(image.block_of(fmt::format("<{}>", inode), b));
    const auto header = image.peek<QuotaBlockHeader>(at);
    if (header.next_free || header.prev_free || header.entries == 0 || header.entries > 14 || header.pad2) continue;
    for (uint32_t i = 0; i < header.entries; ++i) {
      const uint64_t e = at + sizeof header + i * sizeof(QuotaEntryR1);
      if (image.peek<QuotaEntryR1>(e).id == id && image.peek<QuotaEntryR1>(e).inodes > 0) return e;
    }
  }
  return 0;
}

}  // namespace

TEST_CASE("attribute in the inode that cannot be read is removed, the others stay", "[repair]") {
  for (const char* set_name : {"ext4-plain", "ext4-inline"}) {
    INFO(set_name);
    const TestImage image(set_name);
    set(image, "a", '1', 8);
    set(image, "b", '2', 8);
    set(image, "c", '3', 8);
    const uint32_t inode = image.inode_of("/three");
    // The second that has no system prefix.
    image.patch<ext2_ext_attr_entry>(entry(image, entries_in_inode(image, inode), 1),
                                     [](ext2_ext_attr_entry& e) { e.e_value_offs = 4000; });
    const RepairPlan plan = scrub(image);
    if (set_name == std::string("ext4-plain")) require_sound(image, plan);
    CHECK(get(image, "a") == "11111111");
    CHECK(get(image, "b").empty());
    CHECK(get(image, "c") == "33333333");
    CHECK(std::ranges::count(losses(plan), "/three: extended attribute user.b removed") == 1);
  }
}

TEST_CASE("attributes before the end of a broken list stay", "[repair]") {
  const TestImage image("ext4-plain");
  for (const char c : {'a', 'b', 'c'}) set(image, std::string(1, c), c, 200);
  const uint32_t inode = image.inode_of("/three");
  image.patch<ext2_ext_attr_entry>(entry(image, ea_block(image, inode) + sizeof(ext2_ext_attr_header), 2),
                                   [](ext2_ext_attr_entry& e) { e.e_name_len = 255, e.e_value_size = 70000; });
  const RepairPlan plan = scrub(image);
  require_sound(image, plan);
  CHECK(get(image, "a") == std::string(200, 'a'));
  CHECK(get(image, "b") == std::string(200, 'b'));
  CHECK(get(image, "c").empty());
  CHECK_FALSE(plan.losses.empty());
}

TEST_CASE("header of an attribute block is written anew over attributes that are whole", "[repair]") {
  const TestImage image("ext4-1k");
  set(image, "a", '1', 300);
  image.fill(ea_block(image, image.inode_of("/three")), 8, std::byte{0});
  const RepairPlan plan = scrub(image);
  require_sound(image, plan);
  CHECK(get(image, "a") == std::string(300, '1'));
  CHECK(losses(plan).empty());
}

TEST_CASE("attribute with a wrong hash stays where a checksum vouches for it", "[repair]") {
  const TestImage image("ext4-1k");
  set(image, "a", '1', 300);
  const uint64_t at = ea_block(image, image.inode_of("/three"));
  image.poke(at + sizeof(ext2_ext_attr_header) + offsetof(ext2_ext_attr_entry, e_hash), uint32_t{7});
  const bool sealed = GENERATE(false, true);
  INFO(sealed);
  if (sealed) {
    std::vector<std::byte> block(image.block_size());
    image.poke(at + offsetof(ext2_ext_attr_header, h_checksum), uint32_t{0});
    image.read(at, block);
    const uint32_t seed = crc32c_of(~0u, image.superblock().s_uuid);
    image.poke(at + offsetof(ext2_ext_attr_header, h_checksum), crc32c(crc32c_of(seed, at / image.block_size()), block));
  }
  const RepairPlan plan = scrub(image);
  require_sound(image, plan);
  CHECK(get(image, "a") == (sealed ? std::string(300, '1') : ""));
  CHECK(losses(plan).size() == (sealed ? 0 : 1));
}

TEST_CASE("attribute block that is none is taken from its inode", "[repair]") {
  const TestImage image("ext4-1k");
  image.debugfs(fmt::format("sif /three file_acl {}", image.block_of("/small")));
  const RepairPlan plan = scrub(image);
  INFO(describe(plan.after.findings));
  CHECK(image.peek<ext2_inode>(image.inode_offset(image.inode_of("/three"))).i_file_acl == 0);
  CHECK(std::ranges::count(losses(plan), "/three: block of extended attributes cleared") == 1);
}

TEST_CASE("limits of a quota file survive its tree", "[repair]") {
  const TestImage image("ext4-quota");
  const uint64_t at = quota_entry(image, 3, 0);
  REQUIRE(at != 0);
  image.patch<QuotaEntryR1>(at, [](QuotaEntryR1& e) { e.block_hard = 123456, e.inode_soft = 77; });
  image.poke(image.offset(image.block_of("<3>")) + offsetof(QuotaHeader, block_grace), uint32_t{4321});
  SECTION("the way to the entry is lost") { image.fill(image.offset(image.block_of("<3>", 1)), 1024, std::byte{0xEE}); }
  SECTION("the header is lost") { image.fill(image.offset(image.block_of("<3>")), 4, std::byte{0}); }
  SECTION("a new user comes in") { image.debugfs("sif /three uid 70000"); }
  const RepairPlan plan = scrub(image);
  require_sound(image, plan);
  const uint64_t after = quota_entry(image, 3, 0);
  REQUIRE(after != 0);
  CHECK(image.peek<QuotaEntryR1>(after).block_hard == 123456);
  CHECK(image.peek<QuotaEntryR1>(after).inode_soft == 77);
}

TEST_CASE("usage in a quota file is set in place", "[repair]") {
  const TestImage image("ext4-quota");
  const uint64_t at = quota_entry(image, 4, 0);
  REQUIRE(at != 0);
  const auto before = image.peek<QuotaEntryR1>(at);
  image.patch<QuotaEntryR1>(at, [](QuotaEntryR1& e) { e.space = 5; });
  const RepairPlan plan = scrub(image, RepairPolicy::safe);
  require_sound(image, plan);
  CHECK(image.peek<QuotaEntryR1>(at).space == before.space);
  CHECK(plan.losses.empty());
}

TEST_CASE("quota file that needs space in a full file system is left", "[repair]") {
  const TestImage image("ext4-quota");
  for (int i = 1; i <= 40; ++i) image.debugfs(fmt::format("sif /dir/file{} uid {}", i, i * 100000000u + 77));
  image.debugfs("write /dev/null hog");
  image.debugfs(fmt::format("fallocate /hog 0 {}", image.superblock().s_free_blocks_count + 100));
  const RepairPlan plan = scrub(image);
  INFO(describe(plan.after.findings));
  CHECK_FALSE(plan.proven_clean);
  CHECK(std::ranges::any_of(plan.after.findings, [](const Finding& f) { return f.problem == Problem::quota_usage; }));
}

TEST_CASE("project quota file without its number in the superblock is found again", "[repair]") {
  const TestImage image("ext4-quota");
  const uint32_t inode = image.superblock().s_prj_quota_inum;
  image.debugfs("ssv prj_quota_inum 5");
  const RepairPlan plan = scrub(image);
  require_sound(image, plan);
  CHECK(image.superblock().s_prj_quota_inum == inode);
}

TEST_CASE("orphan list of a file system that is marked with errors is dropped", "[repair]") {
  const TestImage image("ext4-plain");
  const uint32_t inode = image.inode_of("/three");
  image.debugfs("unlink /three");
  image.debugfs(fmt::format("sif <{}> links_count 0", inode));
  image.debugfs(fmt::format("ssv last_orphan {}", inode));
  image.debugfs("ssv state 3");
  const RepairPlan plan = scrub(image);
  require_sound(image, plan);
  CHECK(image.superblock().s_last_orphan == 0);
}

}  // namespace extscrub::test
