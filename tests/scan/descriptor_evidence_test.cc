// Descriptors that name wrong places: which copy is the truth is decided by evidence, and no file loses a byte.
#include <fmt/format.h>

#include <fstream>

#include "tests/support/audit_image.h"
#include "tests/support/catch.h"

namespace extscrub::test {

namespace {

std::string files_of(const TestImage& image) {
  return image.debugfs("ls -l /") + image.debugfs("ls -l /dir") + image.debugfs("cat /big") + image.debugfs("cat /dir/file7");
}

// Safe repairs: the pointer is right again, and all else as it was.
void check_mended(const TestImage& image, const std::string& before) {
  const Result<Image> opened = Image::open(image.path());
  REQUIRE(opened);
  const RepairPlan plan = plan_of(*opened, RepairPolicy::safe);
  INFO(describe(plan.before.findings));
  INFO(describe(plan.after.findings));
  CHECK(plan.proven_clean);
  CHECK(plan.losses.empty());
  apply(image, plan);
  CHECK(files_of(image) == before);
  const Outcome judgement = image.e2fsck_report();
  INFO(judgement.output);
  CHECK(judgement.status == 0);
}

}  // namespace

TEST_CASE("bitmap that its descriptor puts over a file is found by the backup and by what it holds", "[repair][descriptors]") {
  for (const char* set : {"ext2-1k", "ext4-1k", "ext4-gdtcsum"})
    for (const char* field : {"inode_bitmap", "block_bitmap"}) {
      INFO(set << " " << field);
      const TestImage image(set);
      const std::string before = files_of(image);
      image.debugfs(fmt::format("set_bg 0 {} {}", field, image.block_of("/big")));
      if (!std::string_view(set).starts_with("ext2")) image.debugfs("set_bg 0 checksum calc", true);
      check_mended(image, before);
    }
}

TEST_CASE("descriptors that are zero, or two groups', are taken from the backup", "[repair][descriptors]") {
  const auto spoil_two = [](const TestImage& image, auto change) {
    const size_t size = image.descriptor_offset(1) - image.descriptor_offset(0);
    std::vector<std::byte> one(size), two(size);
    image.read(image.descriptor_offset(0), one);
    image.read(image.descriptor_offset(1), two);
    change(one, two);
    image.write(image.descriptor_offset(0), one);
    image.write(image.descriptor_offset(1), two);
  };
  for (const char* set : {"ext2-1k", "ext4-1k"}) {
    INFO(set);
    const TestImage swapped(set);
    const std::string before = files_of(swapped);
    const TestImage zeroed = swapped.copy(), doubled = swapped.copy();
    spoil_two(swapped, [](auto& one, auto& two) { one.swap(two); });
    check_mended(swapped, before);
    spoil_two(zeroed, [](auto& one, auto& two) {
      std::ranges::fill(one, std::byte{0});
      std::ranges::fill(two, std::byte{0});
    });
    check_mended(zeroed, before);
    doubled.debugfs(fmt::format("set_bg 1 inode_table {}", doubled.descriptor(0).bg_inode_table));
    check_mended(doubled, before);
  }
}

TEST_CASE("bitmap over a file, and no backup: nothing is written there", "[repair][descriptors]") {
  for (const char* field : {"inode_bitmap", "block_bitmap"}) {
    INFO(field);
    const TestImage image("ext4-1group");
    const std::string big = image.debugfs("cat /big");
    const uint64_t taken = image.block_of("/big", 20);
    image.debugfs(fmt::format("set_bg 0 {} {}", field, taken));
    image.debugfs("set_bg 0 checksum calc", true);
    const Result<Image> opened = Image::open(image.path());
    REQUIRE(opened);
    const RepairPlan plan = plan_of(*opened, RepairPolicy::safe);
    REQUIRE(plan.overlay);
    for (const StagedBlock& block : plan.overlay->staged()) CHECK(block.block.value != taken);
    apply(image, plan);
    CHECK(image.debugfs("cat /big", true) == big);
  }
}

TEST_CASE("bitmap of the only group of a flex group is found where mke2fs puts it", "[repair][descriptors]") {
  for (const char* block_size : {"1024", "4096"})
    for (const char* features :
         {"^has_journal", "^has_journal,^metadata_csum,uninit_bg", "^has_journal,^metadata_csum,^uninit_bg"})
      for (const char* field : {"inode_bitmap", "block_bitmap"}) {
        INFO(block_size << " " << features << " " << field);
        TempDir tree;
        std::ofstream(tree.path() / "big") << std::string(200 << 10, 'b');
        const TestImage image({"-t", "ext4", "-b", block_size, "-O", features}, "7M", tree.path());
        const std::string big = image.debugfs("cat /big");
        image.debugfs(fmt::format("set_bg 0 {} {}", field, image.block_of("/big", 20)));
        image.debugfs("set_bg 0 checksum calc", true);
        const Result<Image> opened = Image::open(image.path());
        REQUIRE(opened);
        const RepairPlan plan = plan_of(*opened, RepairPolicy::safe);
        INFO(describe(plan.before.findings) << "after:\n" << describe(plan.after.findings));
        CHECK(plan.proven_clean);
        CHECK(plan.losses.empty());
        apply(image, plan);
        CHECK(image.debugfs("cat /big") == big);
        CHECK(image.e2fsck() == 0);
      }
}

TEST_CASE("backup descriptor is not written from a primary that is wrong", "[repair][descriptors]") {
  const TestImage image("ext4-1k");
  const uint64_t copy = image.descriptor_offset(2) + image.offset(image.superblock().s_blocks_per_group);
  const auto right = image.peek<ext4_group_desc>(copy);
  image.debugfs(fmt::format("set_bg 2 inode_table {}", image.block_of("/big")));
  image.debugfs("set_bg 2 checksum calc", true);
  image.poke(copy, right);
  check_mended(image, files_of(image));
  CHECK(image.descriptor(2).bg_inode_table == right.bg_inode_table);
  CHECK(image.peek<ext4_group_desc>(copy).bg_inode_table == right.bg_inode_table);
}

TEST_CASE("feature that only the backups still have is set again", "[repair][descriptors]") {
  const TestImage image("ext2-1k");
  const std::string before = files_of(image);
  image.patch<ext2_super_block>(kSuperblockOffset,
                                [](ext2_super_block& s) { s.s_feature_compat &= ~uint32_t{EXT2_FEATURE_COMPAT_EXT_ATTR}; });
  check_mended(image, before);
  CHECK(image.superblock().s_feature_compat & EXT2_FEATURE_COMPAT_EXT_ATTR);
}

}  // namespace extscrub::test
