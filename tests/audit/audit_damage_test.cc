// Sound images of every shape, and images with one kind of damage each: what the audit must say of them, and where.
#include <algorithm>
#include <set>

#include "tests/support/audit_image.h"
#include "tests/support/catch.h"

namespace extscrub::test {

namespace {

// Codes that no image can have, with the test that stands for it.
constexpr Problem kNotByDamage[] = {
    Problem::read_error,      // "image that ends while it is being audited"
    Problem::image_truncated,  // "image that is cut short is audited as far as it goes"
    Problem::data_unreadable,  // "contents of files that the device does not give are named"
    Problem::journal_device,  // "external journal of another file system"
    Problem::feature_dir_nlink,  // "directory with more subdirectories than can be counted needs dir_nlink"
    Problem::metadata_write_lost,          // these three in lost_writes_test.cc
    Problem::metadata_write_perhaps_lost,
    Problem::metadata_block_misplaced,
};

// The tables are worth what their damage is: e2fsck, which shares no code with the audit, sees each of it too.
void check_e2fsck(const Scenario& scenario, const TestImage& image) {
  const Outcome outcome = image.e2fsck_report();
  INFO(outcome.output);
  const bool remarks = outcome.status != 0 || outcome.output.contains("? no") || outcome.output.contains("backup blocks");
  CHECK(remarks != scenario.e2fsck_is_silent);
}

// An image is damaged once for all that is to be seen on it: that takes most of the time.
void check_damage(const Scenario& scenario) {
  INFO(scenario.feature_set << ": " << scenario.name);
  const TestImage image(scenario.feature_set);
  const Place place = scenario.spoil(image);
  const uint64_t before = image.fingerprint();
  const Audit audit = audit_of(image, 8), alone = audit_of(image, 1);
  CHECK(describe(alone.findings) == describe(audit.findings));
  CHECK(alone.statistics.bytes_read == audit.statistics.bytes_read);
  INFO("wanted " << info(scenario.problem).code << ", found:\n" << describe(audit.findings));
  CHECK(count_when_limited(image) == audit.findings.size());

  CHECK(std::ranges::any_of(audit.findings, [&](const Finding& f) { return is_at(f, scenario.problem, place); }));
  std::set<std::string_view> false_alarms;
  for (const Finding& finding : audit.findings)
    if (finding.problem != scenario.problem && std::ranges::count(scenario.besides, finding.problem) == 0)
      false_alarms.insert(info(finding.problem).code);
  CHECK(false_alarms == std::set<std::string_view>{});
  if (info(scenario.problem).severity == Severity::error) CHECK(audit.verdict == Verdict::damaged);
  CHECK(image.fingerprint() == before);
  check_e2fsck(scenario, image);
}

}  // namespace

TEST_CASE("sound image of every feature set has no findings", "[audit][image]") {
  for (const std::string& set : feature_sets()) {
    INFO(set);
    const Audit audit = audit_of(TestImage(set));
    CHECK(describe(audit.findings) == "");
    CHECK(audit.verdict == Verdict::clean);
    CHECK(audit.statistics.directories >= 6);
  }
}

TEST_CASE("image information is that of dumpe2fs", "[audit][image]") {
  for (const char* set : {"ext2-4k", "ext4-1k", "ext4-bigalloc", "ext4-64k"}) {
    INFO(set);
    const TestImage image(set);
    const ext2_super_block super = image.superblock();
    const Audit audit = audit_of(image);
    const std::string report = image.dumpe2fs();
    INFO(report);
    CHECK(audit.info.block_size == image.block_size());
    CHECK(audit.info.blocks == super.s_blocks_count);
    CHECK(audit.info.inodes == super.s_inodes_count);
    CHECK(audit.info.inode_size == super.s_inode_size);
    CHECK(audit.info.label == "sample");
    CHECK(report.contains(audit.info.uuid));
    for (const std::string& feature : audit.info.features) CHECK(report.contains(feature));
    CHECK(audit.statistics.inodes_in_use == super.s_inodes_count - super.s_free_inodes_count);
    // The boot block before the first data block is neither free nor in use.
    CHECK(audit.statistics.blocks_in_use == super.s_blocks_count - super.s_first_data_block - super.s_free_blocks_count);
  }
}

TEST_CASE("damaged superblock is reported with its code and place", "[audit][damage]") {
  for (const Scenario& scenario : superblock_damage()) check_damage(scenario);
}

TEST_CASE("damaged group descriptor is reported with its code and place", "[audit][damage]") {
  for (const Scenario& scenario : group_damage()) check_damage(scenario);
}

TEST_CASE("damaged bitmap is reported with its code and place", "[audit][damage]") {
  for (const Scenario& scenario : bitmap_damage()) check_damage(scenario);
}

TEST_CASE("damaged inode is reported with its code and place", "[audit][damage]") {
  for (const Scenario& scenario : inode_damage()) check_damage(scenario);
}

TEST_CASE("damaged block map is reported with its code and place", "[audit][damage]") {
  for (const Scenario& scenario : map_damage()) check_damage(scenario);
}

TEST_CASE("damaged journal or orphan list is reported with its code and place", "[audit][damage]") {
  for (const Scenario& scenario : journal_damage()) check_damage(scenario);
}

TEST_CASE("damaged attribute, quota file or MMP block is reported with its code and place", "[audit][damage]") {
  for (const Scenario& scenario : attribute_damage()) check_damage(scenario);
}

TEST_CASE("damaged directory is reported with its code and place", "[audit][damage]") {
  for (const Scenario& scenario : directory_damage()) check_damage(scenario);
}

TEST_CASE("every code of the catalogue has a damaged image that yields it", "[audit][damage]") {
  const auto scenarios = all_damage();
  for (const ProblemInfo& entry : problem_catalogue()) {
    INFO(entry.code);
    const bool has_image = std::ranges::count(scenarios, entry.problem, &Scenario::problem) > 0;
    CHECK(has_image == (std::ranges::count(kNotByDamage, entry.problem) == 0));
  }
}

TEST_CASE("image that ends while it is being audited", "[audit][damage]") {
  const TestImage image("ext4-plain");
  const Result<Image> opened = Image::open(image.path());
  REQUIRE(opened);
  std::filesystem::resize_file(image.path(), image.offset(image.descriptor(1).bg_inode_table));
  AuditOptions options;
  options.jobs = 2;
  const Result<Audit> audited = audit(*opened, nullptr, options);
  REQUIRE(audited);
  INFO(describe(audited->findings));
  CHECK(std::ranges::count(audited->findings, Problem::read_error, &Finding::problem) > 0);
  CHECK(audited->verdict == Verdict::damaged);
}

TEST_CASE("several kinds of damage are all reported", "[audit][damage]") {
  const TestImage image("ext4-1k");
  const uint32_t three = image.inode_of("/three"), four = image.inode_of("/dir/file4");
  image.debugfs("freeb 9000 600");
  image.debugfs("setb 20000 200");
  image.debugfs("sif /three blocks 77");
  image.debugfs("sif /dir/file4 dtime 12345");
  image.debugfs("ssv free_inodes_count 5");
  image.debugfs("set_bg 2 used_dirs_count 9");
  image.debugfs("set_bg 2 checksum calc", true);
  const Audit audit = audit_of(image);
  INFO(describe(audit.findings));
  const auto found = [&](Problem problem, const Place& place) {
    return std::ranges::any_of(audit.findings, [&](const Finding& f) { return is_at(f, problem, place); });
  };
  CHECK(found(Problem::block_bitmap_mismatch, {.group = 2, .block = 20000}));
  CHECK(found(Problem::inode_blocks, {.inode = three}));
  CHECK(found(Problem::inode_dtime_set, {.inode = four}));
  CHECK(found(Problem::superblock_free_inodes, {}));
  CHECK(found(Problem::group_used_dirs, {.group = 2}));
}

}  // namespace extscrub::test
