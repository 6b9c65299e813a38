// Repairs on an image without a free block: what needs room is left and reported, unless there is a way without; all else
// is mended, and what is sound stays as it is.
#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>

#include "tests/support/audit_image.h"

namespace extscrub::test {

namespace {

// The sound image of that set with files on every free block.
const TestImage& full_image(const std::string& set) {
  static std::map<std::string, TestImage> images;
  if (const auto it = images.find(set); it != images.end()) return it->second;
  TestImage image(set);
  for (int i = 0; image.superblock().s_free_blocks_count > 0 && i < 20; ++i) {
    image.debugfs(fmt::format("write /dev/null full{}", i));
    // The map of a file that lies in many pieces takes blocks too.
    const uint32_t free = image.superblock().s_free_blocks_count, wanted = free > 64 ? free - 32 : free > 4 ? free - 2 : 1;
    image.debugfs(fmt::format("fallocate full{} 0 {}", i, wanted - 1));
  }
  REQUIRE(image.superblock().s_free_blocks_count == 0);
  REQUIRE(image.e2fsck() == 0);
  return images.emplace(set, std::move(image)).first->second;
}

RepairPlan repair_full(const TestImage& image) {
  const Result<Image> opened = Image::open(image.path());
  REQUIRE(opened);
  RepairPlan plan = plan_of(*opened, RepairPolicy::all);
  apply(image, plan);
  return plan;
}

bool leaves(const RepairPlan& plan, Problem problem) {
  return std::ranges::any_of(plan.after.findings, [&](const Finding& f) { return f.problem == problem; });
}

bool needs_room(Problem p) {
  using enum Problem;
  switch (p) {
    case group_block_bitmap_location:
    case group_inode_bitmap_location:
    case group_inode_table_location:
    case group_bitmap_bad_block:
    case superblock_resize_inode:
    case block_multiply_claimed:
    case directory_tail_missing:
    case directory_hole:
    case directory_without_blocks:
    case root_not_directory:
    case directory_unconnected:
    case inode_unattached:
    case htree_root:
    case htree_node:
    case htree_depth:
    case journal_superblock: return true;
    default: return false;
  }
}

}  // namespace

TEST_CASE("damage on an image without a free block is mended or left, and harms nothing else", "[repair][full]") {
  size_t tried = 0;
  for (const Scenario* scenario : all_damage()) {
    const bool chosen = scenario->feature_set == "ext4-1k" || scenario->feature_set == "ext4-plain";
    if (!chosen || !needs_room(scenario->problem)) continue;
    INFO(scenario->feature_set << ": " << scenario->name);
    ++tried;
    const TestImage image = full_image(std::string(scenario->feature_set)).copy();
    scenario->spoil(image);
    const RepairPlan plan = repair_full(image);
    INFO("before:\n" << describe(plan.before.findings) << "after:\n" << describe(plan.after.findings));
    const bool sound = plan.after.verdict == Verdict::clean;
    CHECK(sound == plan.proven_clean);
    if (sound) {
      const Outcome judgement = image.e2fsck_report();
      INFO(judgement.output);
      CHECK(judgement.status == 0);
    } else {
      CHECK((image.superblock().s_state & EXT2_VALID_FS) == 0);
    }
    for (const Finding& f : plan.before.findings)
      if (info(f.problem).severity == Severity::error) CHECK(f.repair != RepairState::none);
  }
  CHECK(tried >= 12);
}

TEST_CASE("file without a name waits for room where lost+found is gone and cannot be made", "[repair][full]") {
  const TestImage image = full_image("ext4-1k").copy();
  const std::string contents = image.debugfs("cat /dir/file7");
  const uint32_t ino = image.inode_of("/dir/file7"), lost_found = image.inode_of("/lost+found");
  // The directory lives on under another name, and keeps its blocks.
  image.debugfs("unlink /lost+found");
  image.debugfs(fmt::format("ln <{}> /elsewhere", lost_found));
  image.debugfs("unlink /dir/file7");
  image.debugfs("freeb 9000 3");
  const RepairPlan plan = repair_full(image);
  INFO("before:\n" << describe(plan.before.findings) << "after:\n" << describe(plan.after.findings));
  CHECK(leaves(plan, Problem::inode_unattached));
  CHECK_FALSE(leaves(plan, Problem::block_bitmap_mismatch));
  CHECK(image.debugfs(fmt::format("cat <{}>", ino)) == contents);
  // With room again it gets a name.
  image.debugfs("rm /full1");
  const RepairPlan again = repair_full(image);
  INFO(describe(again.after.findings));
  CHECK(again.proven_clean);
  CHECK(image.e2fsck() == 0);
  CHECK(image.debugfs(fmt::format("cat /lost+found/#{}", ino)) == contents);
}

}  // namespace extscrub::test
