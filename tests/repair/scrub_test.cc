// Repairs from plan to proof: what safe repairs mend is sound afterwards for e2fsck too, and what is sound is left
// alone.
#include <fmt/format.h>

#include <algorithm>

#include "tests/support/audit_image.h"
#include "tests/support/catch.h"

namespace extscrub::test {

namespace {

bool is_safe(Problem problem) { return info(problem).repair == RepairClass::safe; }

// Errors that safe repairs mend, and whose consequences they mend too.
std::vector<const Scenario*> mendable_damage() {
  std::vector<const Scenario*> result = all_damage();
  std::erase_if(result, [](const Scenario* s) {
    const bool error = info(s->problem).severity == Severity::error;
    return !error || !is_safe(s->problem) || !std::ranges::all_of(s->besides, is_safe);
  });
  return result;
}

}  // namespace

TEST_CASE("safe repairs make the image sound, and a second scrub has nothing to do", "[scrub]") {
  REQUIRE(mendable_damage().size() >= 20);
  for (const Scenario* scenario : mendable_damage()) {
    INFO(scenario->feature_set << ": " << scenario->name);
    const TestImage image(scenario->feature_set);
    scenario->spoil(image);
    const uint64_t damaged = image.fingerprint();

    const Result<Image> opened = Image::open(image.path());
    REQUIRE(opened);
    const RepairPlan plan = plan_of(*opened);
    INFO("before:\n" << describe(plan.before.findings) << "after:\n" << describe(plan.after.findings));
    CHECK(image.fingerprint() == damaged);
    CHECK(plan.proven_clean);
    CHECK(plan.after.verdict == Verdict::clean);
    REQUIRE(plan.overlay);
    REQUIRE_FALSE(plan.overlay->staged().empty());
    for (const Finding& finding : plan.before.findings)
      if (is_safe(finding.problem)) CHECK(finding.repair == RepairState::staged);

    apply(image, plan);
    const Outcome judgement = image.e2fsck_report();
    INFO(judgement.output);
    CHECK(judgement.status == 0);
    CHECK_FALSE(judgement.output.contains("? no"));
    CHECK(image.superblock().s_state == EXT2_VALID_FS);
    CHECK(describe(audit_of(image).findings) == "");

    const Result<Image> again = Image::open(image.path());
    REQUIRE(again);
    const RepairPlan second = plan_of(*again);
    CHECK((!second.overlay || second.overlay->staged().empty()));
  }
}

TEST_CASE("damage that all repairs together mend is gone afterwards", "[scrub]") {
  const auto mendable = [](Problem p) { return info(p).repair != RepairClass::none || info(p).severity != Severity::error; };
  for (const Scenario* scenario : all_damage()) {
    if (!mendable(scenario->problem) || !std::ranges::all_of(scenario->besides, mendable)) continue;
    INFO(scenario->feature_set << ": " << scenario->name);
    const TestImage image(scenario->feature_set);
    scenario->spoil(image);
    const Result<Image> opened = Image::open(image.path());
    REQUIRE(opened);
    const RepairPlan plan = plan_of(*opened, RepairPolicy::all);
    INFO("before:\n" << describe(plan.before.findings) << "after:\n" << describe(plan.after.findings));
    CHECK((plan.after.verdict == Verdict::clean));
    apply(image, plan);
    // e2fsck up to 1.47 takes the attribute block of an inline symbolic link for a free one.
    if (scenario->problem != Problem::inline_symlink_uncounted) {
      const Outcome judgement = image.e2fsck_report();
      INFO(judgement.output);
      CHECK(judgement.status == 0);
    }

    const Result<Image> again = Image::open(image.path());
    REQUIRE(again);
    const RepairPlan second = plan_of(*again, RepairPolicy::all);
    CHECK((!second.overlay || second.overlay->staged().empty()));
  }
}

TEST_CASE("sound image of every feature set is left alone", "[scrub]") {
  for (const std::string& set : feature_sets()) {
    INFO(set);
    const TestImage image(set);
    const Result<Image> opened = Image::open(image.path());
    REQUIRE(opened);
    const RepairPlan plan = plan_of(*opened);
    INFO(describe(plan.before.findings));
    CHECK(plan.proven_clean);
    CHECK((!plan.overlay || plan.overlay->staged().empty()));
    CHECK(plan.final_superblock == std::bit_cast<std::array<std::byte, kSuperblockSize>>(image.superblock()));
  }
}

TEST_CASE("final superblock is the one that is staged", "[scrub]") {
  const TestImage image("ext4-1k");
  image.debugfs("sif /three blocks 77");
  image.debugfs("ssv state 2");
  const Result<Image> opened = Image::open(image.path());
  REQUIRE(opened);
  const RepairPlan plan = plan_of(*opened);
  REQUIRE(plan.proven_clean);
  apply(image, plan);
  CHECK(plan.final_superblock == std::bit_cast<std::array<std::byte, kSuperblockSize>>(image.superblock()));
  CHECK(image.superblock().s_state == EXT2_VALID_FS);
}

TEST_CASE("repairs that are not allowed stage nothing", "[scrub]") {
  const TestImage image("ext4-1k");
  image.debugfs("sif /three blocks 77");
  image.debugfs("freeb 2000 5");
  const Result<Image> opened = Image::open(image.path());
  REQUIRE(opened);
  const RepairPlan plan = plan_of(*opened, RepairPolicy::none);
  CHECK_FALSE(plan.proven_clean);
  CHECK((!plan.overlay || plan.overlay->staged().empty()));
  CHECK(plan.before.verdict == Verdict::damaged);
}

// The bitmaps cannot be known while a map is unreadable: freeing what it may hold would lose the file.
TEST_CASE("damage without a repair keeps the image from being called clean", "[scrub]") {
  for (const Scenario* scenario : all_damage()) {
    const ProblemInfo& problem = info(scenario->problem);
    if (problem.severity != Severity::error || problem.repair != RepairClass::none) continue;
    INFO(scenario->feature_set << ": " << scenario->name);
    const TestImage image(scenario->feature_set);
    scenario->spoil(image);
    const Result<Image> opened = Image::open(image.path());
    REQUIRE(opened);
    const RepairPlan plan = plan_of(*opened);
    INFO(describe(plan.after.findings));
    CHECK_FALSE(plan.proven_clean);
    CHECK(plan.after.verdict == Verdict::damaged);
  }
}

TEST_CASE("many kinds of damage are mended in one scrub", "[scrub]") {
  for (const char* set : {"ext4-1k", "ext4-gdtcsum", "ext4-plain", "ext2-1k", "ext4-4k", "ext4-bigalloc"}) {
    INFO(set);
    const TestImage image(set);
    image.debugfs("sif /three blocks 77");
    image.debugfs("sif /dir/file4 dtime 12345");
    image.debugfs("freei /other");
    image.debugfs("seti <900>");
    image.debugfs("freeb " + std::to_string(image.block_of("/big")) + " 1");
    image.debugfs("ssv free_blocks_count 5");
    image.debugfs("ssv free_inodes_count 5");
    image.debugfs("set_bg 1 free_blocks_count 9");
    image.debugfs("set_bg 1 checksum calc", true);
    check_proven_repair(image);
  }
}

TEST_CASE("damage that is left keeps the error mark, and a later scrub writes nothing", "[scrub]") {
  const TestImage image("ext4-1k");
  image.debugfs("ssv state 3");
  image.debugfs("ssv error_count 7");
  image.debugfs("ssv first_error_func somewhere");
  image.debugfs("ssv lastcheck 20200101");
  image.debugfs(fmt::format("sif <{}> block[5] 0x7fffffff", image.inode_of("/three")));  // lossy
  image.debugfs("sif /other blocks 77");
  const ext2_super_block before = image.superblock();
  for (const uint32_t now : {1800000000u, 1800000100u}) {
    const Result<Image> opened = Image::open(image.path());
    REQUIRE(opened);
    AuditOptions options;
    options.now = now;
    const Result<RepairPlan> plan = plan_repairs(*opened, RepairPolicy::safe, options);
    REQUIRE(plan);
    INFO(describe(plan->after.findings));
    CHECK_FALSE(plan->proven_clean);
    CHECK(plan->overlay->staged().empty() == (now > 1800000000u));
    apply(image, *plan);
    const ext2_super_block after = image.superblock();
    CHECK(after.s_state == EXT2_ERROR_FS);
    CHECK(after.s_error_count == 7);
    CHECK(std::ranges::equal(after.s_first_error_func, before.s_first_error_func));
    CHECK(after.s_lastcheck == before.s_lastcheck);
  }
}

}  // namespace extscrub::test
