// Repairs on an image without a free block: what needs room is left and reported, unless there is a way without; all else
// is mended, and what is sound stays as it is.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "tests/support/audit_image.h"
#include "tests/support/catch.h"

namespace extscrub::test {

namespace {

// Puts files on every free block.
void fill_up(const TestImage& image) {
  for (int i = 0; image.superblock().s_free_blocks_count > 0 && i < 20; ++i) {
    image.debugfs(fmt::format("write /dev/null full{}", i));
    // The map of a file that lies in many pieces takes blocks too.
    const uint32_t free = image.superblock().s_free_blocks_count, wanted = free > 64 ? free - 32 : free > 4 ? free - 2 : 1;
    image.debugfs(fmt::format("fallocate full{} 0 {}", i, wanted - 1));
  }
  REQUIRE(image.superblock().s_free_blocks_count == 0);
}

// The sound image of that set with files on every free block.
const TestImage& full_image(const std::string& set) {
  static std::map<std::string, TestImage> images;
  if (const auto it = images.find(set); it != images.end()) return it->second;
  TestImage image(set);
  fill_up(image);
  REQUIRE(image.e2fsck() == 0);
  return images.emplace(set, std::move(image)).first->second;
}

// A full image where the directory /emptied, which held /three under the name `kept` and no other, has lost its block to
// a file. Returns the number of that inode.
uint32_t empty_directory(const TestImage& image, bool extents) {
  const uint32_t three = image.inode_of("/three");
  image.debugfs("mkdir /emptied");
  image.debugfs(fmt::format("ln <{}> /emptied/kept", three));
  image.debugfs("unlink /three");
  image.debugfs(fmt::format("freeb {}", image.block_of("/emptied")));
  image.debugfs(fmt::format("ssv free_blocks_count {}", image.superblock().s_free_blocks_count + 1));
  // No block in the map, or no extent in its header.
  image.debugfs(fmt::format("sif /emptied block[0] {}", extents ? "0xf30a" : "0"));
  fill_up(image);
  return three;
}

RepairPlan repair_full(const TestImage& image, RepairPolicy policy = RepairPolicy::all) {
  const Result<Image> opened = Image::open(image.path());
  REQUIRE(opened);
  RepairPlan plan = plan_of(*opened, policy);
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

TEST_CASE("blocks that were never written and are another's become a hole where there is no room for copies", "[repair][full]") {
  const TestImage image("ext4-1k");
  const uint64_t first = image.block_of("/big");
  const std::string big = image.debugfs("cat /big");
  image.debugfs("write /dev/null claims");
  image.debugfs("write /dev/null spare");
  image.debugfs(fmt::format("fallocate spare 0 {}", image.superblock().s_free_blocks_count - 40));
  // A hundred blocks of /big, unwritten, in a file of 10000 bytes: more than there is room for.
  const std::pair<const char*, uint64_t> fields[] = {{"flags", 0x80000},    {"size", 10000},           {"blocks", 200},
                                                     {"block[0]", 0x1f30a}, {"block[1]", 4},           {"block[2]", 0},
                                                     {"block[3]", 0},       {"block[4]", 32768 + 100}, {"block[5]", first}};
  for (const auto& [field, value] : fields) image.debugfs(fmt::format("sif claims {} {:#x}", field, value));
  REQUIRE(image.superblock().s_free_blocks_count < 100);
  const RepairPlan plan = repair_full(image);
  INFO("before:\n" << describe(plan.before.findings) << "after:\n" << describe(plan.after.findings));
  CHECK(std::ranges::count(plan.before.findings, Problem::block_multiply_claimed, &Finding::problem) > 0);
  CHECK(plan.proven_clean);
  CHECK(std::ranges::any_of(
      plan.losses, [](const Loss& l) { return l.problem == Problem::block_multiply_claimed && l.what.contains("a hole now"); }));
  CHECK(image.e2fsck() == 0);
  CHECK(image.debugfs("cat /big") == big);
  CHECK(image.debugfs("cat /claims") == std::string(10000, '\0'));
}

TEST_CASE("directory without a block is given up where none is free, and what was in it is kept", "[repair][full]") {
  for (const std::string set : {"ext2-1k", "ext4-1k"}) {
    INFO(set);
    const TestImage image(set);
    const std::string contents = image.debugfs("cat /three");
    const uint32_t three = empty_directory(image, set == "ext4-1k");
    const RepairPlan plan = repair_full(image);
    INFO("before:\n" << describe(plan.before.findings) << "after:\n" << describe(plan.after.findings));
    CHECK(std::ranges::count(plan.before.findings, Problem::directory_without_blocks, &Finding::problem) == 1);
    CHECK(plan.proven_clean);
    CHECK(std::ranges::any_of(plan.losses, [](const Loss& l) {
      return l.problem == Problem::directory_without_blocks && l.what.contains("given up");
    }));
    const Outcome judgement = image.e2fsck_report();
    INFO(judgement.output);
    CHECK(judgement.status == 0);
    CHECK(image.debugfs(fmt::format("cat /lost+found/#{}", three)) == contents);
    CHECK_FALSE(image.debugfs("ls /").contains("emptied"));
  }
}

TEST_CASE("directory without a block is not given up by safe repairs, nor where there is room", "[repair][full]") {
  {
    const TestImage image("ext2-1k");
    empty_directory(image, false);
    const RepairPlan plan = repair_full(image, RepairPolicy::safe);
    INFO(describe(plan.after.findings));
    CHECK_FALSE(plan.proven_clean);
    CHECK(leaves(plan, Problem::directory_without_blocks));
    CHECK(plan.losses.empty());
    CHECK(image.debugfs("ls /").contains("emptied"));
  }
  {
    const TestImage image("ext2-1k");
    empty_directory(image, false);
    image.debugfs("rm /full0");
    const RepairPlan plan = repair_full(image);
    INFO(describe(plan.after.findings));
    CHECK(plan.proven_clean);
    CHECK(image.debugfs("ls /").contains("emptied"));
    CHECK(image.e2fsck() == 0);
  }
}

TEST_CASE("directory without a block is not given up where something cannot be read", "[repair][full]") {
  const TestImage image("ext2-1k");
  empty_directory(image, false);
  const Result<Image> opened = Image::open(image.path());
  REQUIRE(opened);
  UnreadableList unreadable;
  // Of another group than what would be given up.
  const ext2_super_block super = image.superblock();
  const uint64_t block = image.block_bitmap((super.s_blocks_count - 2) / super.s_blocks_per_group);
  unreadable.ranges = {{block, block + 1}};
  AuditOptions options;
  options.unreadable = &unreadable;
  const Result<RepairPlan> planned = plan_repairs(*opened, RepairPolicy::all, options);
  REQUIRE(planned);
  const RepairPlan& plan = *planned;
  INFO(describe(plan.after.findings));
  CHECK(leaves(plan, Problem::read_error));
  CHECK(leaves(plan, Problem::directory_without_blocks));
  CHECK(std::ranges::count(plan.losses, Problem::directory_without_blocks, &Loss::problem) == 0);
}

}  // namespace extscrub::test
