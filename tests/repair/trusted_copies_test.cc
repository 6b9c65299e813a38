// Which of two copies is believed, of superblock and journal; and what a pointer that is wrong must not become.
#include <fmt/format.h>
#include <algorithm>

#include "audit/promise.h"
#include "tests/support/audit_image.h"
#include "tests/support/catch.h"
#include "tests/support/journal_log.h"

namespace extscrub::test {

namespace {

RepairPlan mend_whole(const TestImage& image, RepairPolicy policy, bool drop = false) {
  const Result<Image> opened = Image::open(image.path());
  REQUIRE(opened);
  AuditOptions options;
  options.jobs = 2;
  options.drop_unflagged = drop;
  Result<RepairPlan> plan = plan_repairs(*opened, policy, options);
  REQUIRE(plan);
  INFO("before:\n" << describe(plan->before.findings) << "after:\n" << describe(plan->after.findings));
  CHECK(plan->proven_clean);
  apply(image, *plan);
  const Outcome judgement = image.e2fsck_report();
  INFO(judgement.output);
  CHECK(judgement.status == 0);
  return std::move(*plan);
}

bool has_problem(const Audit& audit, Problem problem) {
  return std::ranges::count(audit.findings, problem, &Finding::problem) > 0;
}

}  // namespace

TEST_CASE("superblock with a wrong checksum is seen before the log is replayed over it", "[audit][recovery]") {
  const TestImage image("ext4-1k");
  const JournalLog log(image, {});
  image.patch<ext2_super_block>(kSuperblockOffset, [](ext2_super_block& s) { s.s_checksum ^= 1; });
  const Audit audit = audit_of(image);
  INFO(describe(audit.findings));
  CHECK(has_problem(audit, Problem::superblock_checksum));
  CHECK(audit.verdict == Verdict::damaged);
  CHECK(mend_whole(image, RepairPolicy::safe).losses.empty());
}

TEST_CASE("whole log whose flag was lost is replayed, unless it is to be dropped", "[repair][journal]") {
  for (const bool drop : {false, true}) {
    INFO(drop);
    const TestImage image("ext4-1k");
    const uint64_t block = image.block_of("/big");
    JournalLog log(image, {});
    const auto contents = log.block_of('A');
    log.descriptor({{block, contents}});
    log.commit();
    image.debugfs("feature -needs_recovery");
    const RepairPlan plan = mend_whole(image, RepairPolicy::all, drop);
    CHECK(has_problem(plan.before, Problem::journal_not_empty));
    CHECK(plan.losses.size() == (drop ? 1 : 0));
    if (drop) CHECK(plan.losses.front().what.ends_with("1 transactions of 1 blocks"));
    CHECK((image.peek<std::byte>(image.offset(block)) == std::byte{'A'}) != drop);
  }
}

TEST_CASE("journal inode that points over a file is taken from its backup, and the file stays", "[repair][journal]") {
  const TestImage image("ext4-1k");
  const std::string before = image.debugfs("cat /big");
  const auto map = image.peek<ext3_extent>(image.map_offset(EXT2_JOURNAL_INO) + sizeof(ext3_extent_header));
  image.patch<ext3_extent>(image.map_offset(EXT2_JOURNAL_INO) + sizeof(ext3_extent_header),
                           [&](ext3_extent& e) { e.ee_start = static_cast<uint32_t>(image.block_of("/big")); });
  image.debugfs("sif <8> mtime @1700000000", true);  // seals the inode
  mend_whole(image, RepairPolicy::all);
  CHECK(image.debugfs("cat /big") == before);
  CHECK(image.peek<ext3_extent>(image.map_offset(EXT2_JOURNAL_INO) + sizeof(ext3_extent_header)).ee_start == map.ee_start);
}

TEST_CASE("long symbolic link whose block number is text is cleared, and that is said", "[repair]") {
  const TestImage image("ext4-noextents");
  image.debugfs("symlink slow " + std::string(118, 't'));
  image.debugfs("sif slow block[0] 0x67676767");
  const RepairPlan plan = mend_whole(image, RepairPolicy::all);
  CHECK(std::ranges::any_of(plan.losses, [](const Loss& l) { return l.what.starts_with("cleared"); }));
  CHECK(image.debugfs("stat slow").find("File not found") != std::string::npos);
}

TEST_CASE("an audit promises what the scrub then does", "[audit][repair]") {
  for (const Scenario* scenario : all_damage()) {
    INFO(scenario->feature_set << ": " << scenario->name);
    const TestImage image(scenario->feature_set);
    scenario->spoil(image);
    const Result<Image> opened = Image::open(image.path());
    REQUIRE(opened);
    AuditOptions options;
    options.jobs = 2;
    Result<Audit> audited = audit(*opened, nullptr, options);
    REQUIRE(audited);
    REQUIRE(promise_repairs(*opened, plan_repairs, options, audited->findings));
    apply(image, plan_of(*opened, RepairPolicy::safe));
    const Result<Image> mended = Image::open(image.path());
    REQUIRE(mended);
    const Result<Audit> after = audit(*mended, nullptr, options);
    REQUIRE(after);
    INFO(describe(audited->findings) << "after:\n" << describe(after->findings));
    for (const Finding& f : audited->findings) {
      if (info(f.problem).severity == Severity::note) continue;
      const bool left = std::ranges::any_of(after->findings, [&](const Finding& a) {
        return a.problem == f.problem && a.group == f.group && a.inode == f.inode && a.block == f.block && a.field == f.field;
      });
      if (f.remedy == Remedy::scrub) CHECK_FALSE(left);
    }
  }
}

}  // namespace extscrub::test
