#include <nlohmann/json.hpp>

#include "cli/report/report.h"
#include "tests/cli/cli_support.h"
#include "tests/support/catch.h"

using namespace extscrub;
using extscrub::test::finding;
using nlohmann::json;

namespace {

json images_of(ImageReport image) {
  RunReport run{"scrub", {}};
  run.images.push_back(std::move(image));
  return json::parse(json_report(run));
}

ImageReport scrubbed() {
  ImageReport image;
  image.path = "disk.img";
  image.offset = 1048576;
  image.info = test::audit_with(Verdict::damaged).info;
  image.info->features = {"has_journal", "extent"};
  image.verdict = Verdict::repaired;
  image.exit_status = 1;
  Finding f = finding(Problem::block_bitmap_mismatch);
  f.group = GroupNo(3);
  f.block = BlockNo(9000);
  f.block_count = 600;
  f.evidence = WrongBits{.should_be_set = true};
  f.repair = RepairState::made;
  image.findings = {f};
  image.repairs = RepairReport{RepairPolicy::safe, false, true, 2, 0, {{BlockNo(7), "superblock", "0001", "0002"}}};
  image.writeback = CommitReport{};
  image.writeback->outcome = CommitOutcome::committed;
  image.writeback->receipts.push_back({BlockNo(7), 1, 2, true, true, true, 0, 2});
  image.statistics = AuditStatistics{};
  image.recovery = Recovery{};
  image.recovery->journal.flagged = image.recovery->replayed = true;
  image.recovery->journal.transactions = 3;
  image.recovery->journal.replayed_blocks = 40;
  image.recovery->journal.revoked_blocks = 5;
  image.recovery->journal.fast_commit_tags = 6;
  image.recovery->orphans.listed = 4;
  image.recovery->orphans.deleted = 2;
  image.recovery->orphans.truncated = 1;
  return image;
}

}  // namespace

TEST_CASE("the document names its schema and version") {
  const json document = images_of(scrubbed());
  CHECK(document["schema"] == "extscrub/1");
  CHECK(document["version"].is_string());
  CHECK(document["command"] == "scrub");
  CHECK(document["images"].size() == 1);
}

TEST_CASE("an image has every key of the schema") {
  const json image = images_of(scrubbed())["images"][0];
  for (const char* key : {"path", "offset", "uuid", "label", "features", "geometry", "verdict", "exit_status", "error",
                          "warnings", "recovery", "findings", "repairs", "writeback", "statistics", "timings"})
    CHECK(image.contains(key));
  CHECK(image["offset"] == 1048576);
  CHECK(image["verdict"] == "repaired");
  CHECK(image["features"] == json({"has_journal", "extent"}));
  CHECK(image["geometry"]["block_size"] == 1024);
  CHECK(image["repairs"]["blocks"][0]["after"] == "0002");
  CHECK(image["writeback"]["outcome"] == "committed");
}

TEST_CASE("a finding has every field, null where there is nothing") {
  const json f = images_of(scrubbed())["images"][0]["findings"][0];
  CHECK(f["code"] == "block-bitmap-mismatch");
  CHECK(f["severity"] == "error");
  CHECK(f["repair_class"] == "safe");
  CHECK(f["repair"] == "made");
  CHECK(f["group"] == 3);
  CHECK(f["block"] == 9000);
  CHECK(f["block_count"] == 600);
  CHECK(f["expected"] == "in use");
  for (const char* key : {"inode", "path", "logical", "field"}) {
    REQUIRE(f.contains(key));
    CHECK(f[key].is_null());
  }
}

TEST_CASE("a finding says what mends it, where that was tried") {
  ImageReport image;
  image.findings = {test::finding(Problem::inode_mode), test::finding(Problem::inode_mode), test::finding(Problem::inode_mode)};
  image.findings[1].remedy = Remedy::scrub;
  image.findings[2].remedy = Remedy::all;
  const json findings = images_of(image)["images"][0]["findings"];
  CHECK(findings[0]["remedy"].is_null());
  CHECK(findings[1]["remedy"] == "scrub");
  CHECK(findings[2]["remedy"] == "repair-all");
}

TEST_CASE("a finding names the one that it follows from by its place in the list") {
  ImageReport image;
  image.findings = {test::at_inode(Problem::superblock_past_errors, 1), test::at_inode(Problem::inode_checksum, 12),
                    test::at_inode(Problem::inode_dtime_set, 12), test::at_inode(Problem::inode_mode, 12)};
  const json findings = images_of(image)["images"][0]["findings"];
  CHECK(findings[0]["caused_by"].is_null());
  CHECK(findings[1]["caused_by"].is_null());
  CHECK(findings[2]["caused_by"] == 1);
  CHECK(findings[3]["caused_by"] == 1);
}

TEST_CASE("findings past the limit are counted by code and by what became of them") {
  ImageReport image;
  image.past = {{Problem::inode_mode, RepairState::made, 7}, {Problem::inode_mode, RepairState::left, 2}};
  image.without_path = 3;
  const json j = images_of(image)["images"][0];
  CHECK(j["findings_past_limit"].size() == 2);
  CHECK(j["findings_past_limit"][0] ==
        json{{"code", "inode-mode-invalid"}, {"severity", "error"}, {"repair", "made"}, {"count", 7}});
  CHECK(j["findings_without_path"] == 3);
}

TEST_CASE("what could not be read: the bytes, and how much of which structure") {
  ImageReport image = scrubbed();
  CHECK(images_of(image)["images"][0]["coverage"] == json::array());
  Finding unread = finding(Problem::read_error);
  unread.group = GroupNo(2);
  unread.block = BlockNo(300);
  unread.evidence = Unreadable{UnreadPart::inode_bitmap, "inode bitmap"};
  image.findings = {unread};
  image.info->groups = 4;
  const json j = images_of(image)["images"][0];
  CHECK(j["findings"][0]["first_byte"] == 300 * 1024);
  CHECK(j["findings"][0]["end_byte"] == 301 * 1024);
  CHECK(j["coverage"] == json({{{"structure", "inode bitmaps"}, {"unit", "groups"}, {"total", 4}, {"unread", 1}}}));
}

TEST_CASE("what the next mount will recover stands in every document") {
  const json recovery = images_of(scrubbed())["images"][0]["recovery"];
  CHECK(recovery == json({{"needs_recovery", true},
                          {"replayed", true},
                          {"transactions", 3},
                          {"blocks", 40},
                          {"revoked_blocks", 5},
                          {"fast_commits", 6},
                          {"orphans_listed", 4},
                          {"orphans_released", 3}}));
}

TEST_CASE("every buffer of the write-back has a receipt") {
  ImageReport image = scrubbed();
  image.writeback->superblock_receipts.push_back({BlockNo(1), 3, 4, true, true, false, 5, 0, BufferKind::mark});
  const json receipts = images_of(image)["images"][0]["writeback"]["receipts"];
  CHECK(receipts == json({{{"block", 7},
                           {"kind", "block"},
                           {"xxh3_before", "0000000000000001"},
                           {"xxh3_after", "0000000000000002"},
                           {"submitted", true},
                           {"completed", true},
                           {"read_back", true},
                           {"error", 0},
                           {"flush", 2}},
                          {{"block", 1},
                           {"kind", "error-mark"},
                           {"xxh3_before", "0000000000000003"},
                           {"xxh3_after", "0000000000000004"},
                           {"submitted", true},
                           {"completed", true},
                           {"read_back", false},
                           {"error", 5},
                           {"flush", nullptr}}}));
}

TEST_CASE("the way of a commit, or of one that a dry run has planned, and the blocks of the log it takes") {
  ImageReport image = scrubbed();
  image.writeback->why_direct = "the file system has no journal";
  image.repairs->way = WayChoice{true, {}, {BlockNo(50), BlockNo(51), BlockNo(40)}};
  const json j = images_of(image)["images"][0];
  CHECK(j["writeback"]["way"] == "direct");
  CHECK(j["writeback"]["why_direct"] == "the file system has no journal");
  CHECK(j["repairs"]["commit"]["way"] == "journal");
  CHECK(j["repairs"]["commit"]["why_direct"].is_null());
  CHECK(j["repairs"]["commit"]["log"] == json({{{"block", 50}, {"count", 2}}, {{"block", 40}, {"count", 1}}}));
}

TEST_CASE("an image that could not be read has its reason, and null for the rest") {
  ImageReport image;
  image.path = "none.img";
  image.verdict = Verdict::unreadable;
  image.exit_status = 8;
  image.error = Error{"cannot open"};
  const json j = images_of(image)["images"][0];
  CHECK(j["error"] == "cannot open");
  CHECK(j["uuid"].is_null());
  CHECK(j["geometry"].is_null());
  CHECK(j["writeback"].is_null());
  CHECK(j["recovery"].is_null());
  CHECK(j["findings"].empty());
}

TEST_CASE("a label of any bytes makes a valid document of plain ASCII") {
  ImageReport image = scrubbed();
  image.info->label = "caf\xe9\x1b[31m";
  image.findings[0].path = "/ü\u202E";
  const std::string text = json_report({"audit", {image}});
  CHECK(std::ranges::all_of(text, [](char c) { return c == '\n' || (c >= 0x20 && c < 0x7f); }));
  const json j = json::parse(text)["images"][0];
  CHECK(j["label"] == "caf\\xe9\\x1b[31m");
  CHECK(j["findings"][0]["path"] == "/ü\u202E");
}

TEST_CASE("the catalogue as JSON lists every problem") {
  const json document = json::parse(json_checks());
  CHECK(document["schema"] == "extscrub/1");
  CHECK(document["problems"].size() == problem_catalogue().size());
}
