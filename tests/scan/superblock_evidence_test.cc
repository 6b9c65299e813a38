// Which superblock is the image's own, where there are several: backups of an older file system, or of one that lies in a file.
#include <fmt/format.h>

#include <fstream>

#include "tests/support/audit_image.h"
#include "tests/support/catch.h"

namespace extscrub::test {

namespace {

// 14 MB that are all zeros, and one small file.
std::filesystem::path make_tree(const TempDir& directory) {
  std::ofstream(directory.path() / "user.bin") << std::string(14'000'000, '\0');
  std::ofstream(directory.path() / "keep") << "kept";
  return directory.path();
}

std::vector<std::string> with(std::vector<std::string> options, std::initializer_list<std::string> more) {
  options.insert(options.end(), more);
  return options;
}

// The backup superblock of another file system, and its descriptors, in a file of this one: at byte `at` of both.
void plant(const TestImage& image, const TestImage& other, uint64_t at) {
  std::vector<std::byte> bytes(2048);
  other.read(at, bytes);
  image.write(at, bytes);
}

RepairPlan plan_for(const TestImage& image) {
  const auto opened = Image::open(image.path());
  REQUIRE(opened);
  RepairPlan plan = plan_of(*opened, RepairPolicy::all);
  apply(image, plan);
  return plan;
}

bool is_unreadable(const TestImage& image) {
  const auto opened = Image::open(image.path());
  REQUIRE(opened);
  return !audit(*opened, nullptr, {});
}

constexpr uint64_t kLabel = kSuperblockOffset + offsetof(ext2_super_block, s_volume_name);

}  // namespace

TEST_CASE("backup of another file system does not beat a primary that has a wrong checksum only", "[superblock]") {
  const TempDir tree;
  const TestImage evil({"-t", "ext4", "-b", "1024"}, "32M");
  const std::vector<std::string> layout =
      GENERATE(std::vector<std::string>{"-b", "4096"}, std::vector<std::string>{"-b", "4096", "-g", "1024"},
               std::vector<std::string>{"-b", "1024", "-g", "2048"});
  const TestImage image(with(layout, {"-t", "ext4"}), "32M", make_tree(tree));
  plant(image, evil, 8193 * 1024);
  image.poke(kLabel, 'X');
  const RepairPlan plan = plan_for(image);
  INFO(describe(plan.before.findings));
  CHECK(plan.before.findings.size() == 1);
  CHECK(plan.losses.empty());
  CHECK(image.debugfs("cat /keep") == "kept");
  CHECK(image.e2fsck() == 0);
}

TEST_CASE("where the primary is gone, what lies behind it tells whose backup is right; where nothing does, none is believed",
          "[superblock]") {
  const TempDir tree;
  make_tree(tree);
  const auto over = [&](std::vector<std::string> older, std::vector<std::string> newer) {
    TestImage image(with(std::move(older), {"-t", "ext4"}), "32M");
    std::vector<std::string> command =
        with({"mke2fs", "-q", "-F", "-E", "nodiscard", "-t", "ext4", "-d", tree.path().string()}, {});
    command.insert(command.end(), newer.begin(), newer.end());
    command.push_back(image.path().string());
    (void)run_or_throw(command);
    image.fill(kSuperblockOffset, kSuperblockSize, std::byte{0});
    return image;
  };
  SECTION("the new file system has a backup") {
    const TestImage image = over({"-b", "1024"}, {"-b", "1024", "-g", "4096"});
    CHECK(plan_for(image).proven_clean);
    CHECK(image.debugfs("cat /keep") == "kept");
    CHECK(image.e2fsck() == 0);
  }
  SECTION("it has none, its root directory is there") {
    CHECK(is_unreadable(over({"-b", "1024"}, {"-b", "2048"})));
    CHECK(is_unreadable(over({"-b", "4096", "-g", "1024"}, {"-b", "4096"})));
  }
  SECTION("a file has another one's, which is proven, and the own ones are not") {
    const TestImage image({"-t", "ext4", "-b", "1024", "-g", "2048", "-O", "^metadata_csum"}, "24M", tree.path());
    plant(image, TestImage({"-t", "ext4", "-b", "1024", "-g", "4096"}, "24M"), 12289 * 1024);
    image.fill(kSuperblockOffset, kSuperblockSize, std::byte{0});
    CHECK(is_unreadable(image));
  }
}

TEST_CASE("primary without a checksum is outvoted: by its backups, the image's size, or what it leads to",
          "[superblock][repair]") {
  const std::string type = GENERATE("ext2", "ext3");
  const std::string size = GENERATE("16M", "40M");
  const TempDir tree;
  const TestImage image({"-t", type, "-b", "1024"}, size, make_tree(tree));
  if (GENERATE(false, true)) std::filesystem::resize_file(image.path(), 48 << 20);  // longer than any superblock says
  const auto [offset, value] = GENERATE(table<size_t, uint16_t>({{offsetof(ext2_super_block, s_blocks_count), uint16_t{9266}},
                                                                 {offsetof(ext2_super_block, s_inode_size), uint16_t{128}},
                                                                 {offsetof(ext2_super_block, s_rev_level), uint16_t{0}}}));
  image.poke(kSuperblockOffset + offset, value);
  INFO(type << ' ' << size << ' ' << offset);
  const uint64_t before = image.fingerprint();
  const auto opened = Image::open(image.path());
  REQUIRE(opened);
  const RepairPlan safe = plan_of(*opened, RepairPolicy::safe);
  CHECK(safe.overlay->staged().empty());
  CHECK(image.fingerprint() == before);
  const RepairPlan plan = plan_for(image);
  INFO(describe(plan.before.findings));
  CHECK(plan.proven_clean);
  CHECK(image.debugfs("cat /keep") == "kept");
  CHECK(image.e2fsck() == 0);
}

TEST_CASE("image that is cut by less than a block is cut short", "[superblock]") {
  const TestImage image({"-t", GENERATE("ext2", "ext4"), "-b", GENERATE("1024", "4096")}, "16M");
  std::filesystem::resize_file(image.path(), (16 << 20) - GENERATE(1, 1023));
  const Audit audited = audit_of(image);
  CHECK(audited.verdict == Verdict::damaged);
  CHECK(std::ranges::any_of(audited.findings, [](const Finding& f) { return f.problem == Problem::image_truncated; }));
}

}  // namespace extscrub::test
