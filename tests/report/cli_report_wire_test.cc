
#include "cli/isolation/report_wire.h"
#include "cli/report/commit_text.h"
#include "tests/cli/cli_support.h"
#include "tests/support/catch.h"

using namespace extscrub;
using extscrub::test::at_inode;

namespace {

std::optional<ImageReport> read(std::string_view bytes, uint64_t budget = 1 << 20) { return report_from_bytes(bytes, budget); }

// With something in every field.
ImageReport full_report() {
  ImageReport r;
  r.path = "a b\n.img";
  r.partition = 2;
  r.opened = "/proc/self/fd/3";
  r.offset = 1048576;
  r.length = 99;
  r.partition_type = "Linux LVM";
  r.holds = "LVM2_member";
  r.not_audited = "holds a part of a volume";
  r.info = ImageInfo{"uuid", "label", {"extent", "64bit"}, 4096, 8192, 77, 88, 3, 256, 64, 32768};
  r.verdict = Verdict::errored;
  r.exit_status = 12;
  r.error = file_error("cannot open", "path", 13);
  r.warnings = {"one", "two"};
  Finding f = at_inode(Problem::inode_links, 12, "2");
  f.block = BlockNo(9);
  f.block_count = 5;
  f.logical = 7;
  f.path = "/x";
  f.entry = EntryPlace{InodeNo(14), 24, "name"};
  f.field = "i_links_count";
  f.repair = RepairState::left;
  f.remedy = Remedy::all;
  r.findings = {f, test::finding(Problem::block_bitmap_mismatch)};
  for (const FindingEvidence& evidence : std::vector<FindingEvidence>{
           WrongNumber{1, 2, Radix::hex, true, "more"}, WrongBits{true, true}, Unreadable{UnreadPart::symbolic_link, "why"}})
    r.findings.emplace_back(r.findings.front()).evidence = evidence;
  r.past = {{Problem::inode_mode, RepairState::made, 7}};
  r.without_path = 8;
  r.changes = Changes{1234567, Verdict::damaged, {true, false, true, false, true}, {f}};
  r.recovery = Recovery{};
  r.recovery->journal.uuid[15] = 7;
  r.recovery->journal.defects = {{JournalDefectKind::target, 1, 2, 3, 4}};
  r.recovery->orphans.defects = {{OrphanDefectKind::metadata, InodeNo(5), BlockNo(6), 7, 8}};
  r.statistics = AuditStatistics{1, 2, 3, 4, {5, 6}, std::chrono::duration<double>(0.5)};
  r.repairs = RepairReport{RepairPolicy::all,
                           true,
                           true,
                           3,
                           4,
                           {{BlockNo(1), "w", "b", "a"}},
                           {{Problem::inode_links, InodeNo(5), "/p", "cut", ByteRange{1, 2}}},
                           WayChoice{false, "why", {BlockNo(4), BlockNo(5)}}};
  r.writeback = CommitReport{};
  r.writeback->cause = Refusal{RefusalReason::changed, 1, BlockNo(3), 4, 5, Error{"w"}};
  r.writeback->left = WhatIsLeft::in_part;
  r.writeback->sidecar_error = "e";
  r.writeback->sidecar = "side";
  r.writeback->undo_file = "undo";
  r.writeback->receipts = {{BlockNo(7), 1, 2, true, true, true, 5, 2, BufferKind::log}};
  r.writeback->superblock_receipts = {{BlockNo(0), 1, 2, true, false, false, 0, 0, BufferKind::mark}};
  r.undo_log = "log";
  r.undone = true;
  r.timings = {Seconds(1), Seconds(2), Seconds(3)};
  return r;
}

}  // namespace

TEST_CASE("a report with something in every field comes back as it went") {
  const ImageReport report = full_report();
  const std::string bytes = to_bytes(report);
  const auto back = read(bytes);
  REQUIRE(back);
  CHECK(to_bytes(*back) == bytes);  // so nothing was left out
  CHECK(back->path == report.path);
  CHECK(texts_of(back->findings[0].evidence).found == "2");
  CHECK(back->findings[0].repair == RepairState::left);
  CHECK(back->past[0].count == 7);
  CHECK(back->changes->is_new == std::vector<bool>{true, false, true, false, true});
  CHECK(back->repairs->losses[0].bytes->end == 2);
  CHECK(back->writeback->undo_file == "undo");
  CHECK(back->timings.total == Seconds(3));
  CHECK(json_report({"scrub", {*back}}) == json_report({"scrub", {report}}));
  CHECK(text_report(*back, {}) == text_report(report, {}));
}

TEST_CASE("a report that is cut or has a byte too much is none") {
  const std::string bytes = to_bytes(full_report());
  for (size_t size = 0; size < bytes.size(); ++size) REQUIRE_FALSE(read(bytes.substr(0, size)));
  CHECK_FALSE(read(bytes + '\0'));
}

TEST_CASE("a report with any byte changed is none, or one that can be printed") {
  const std::string good = to_bytes(full_report());
  size_t refused = 0;
  for (size_t at = 0; at < good.size(); ++at)
    for (const char flip : {'\x01', '\x80', '\xff'}) {
      std::string bytes = good;
      bytes[at] = static_cast<char>(bytes[at] ^ flip);
      if (const auto report = read(bytes))
        (void)text_report(*report, {.verbose = true});
      else
        ++refused;
    }
  CHECK(refused > good.size() / 4);
}

TEST_CASE("enumerators that are none are refused") {
  ImageReport report;
  report.verdict = static_cast<Verdict>(200);
  CHECK_FALSE(read(to_bytes(report)));
  report = {};
  report.findings = {test::finding(static_cast<Problem>(60'000))};
  CHECK_FALSE(read(to_bytes(report)));
  report = {};
  report.writeback = CommitReport{};
  report.writeback->receipts.emplace_back().kind = static_cast<BufferKind>(5);
  CHECK_FALSE(read(to_bytes(report)));
  report.writeback = CommitReport{};
  report.writeback->cause = Failure{static_cast<CommitStep>(8), {}, 5, 1};
  CHECK_FALSE(read(to_bytes(report)));
  for (uint8_t reason = 0; reason < 200; ++reason) {
    report.writeback->cause = Refusal{.reason = static_cast<RefusalReason>(reason)};
    const auto back = read(to_bytes(report));
    CHECK(back.has_value() == (reason <= static_cast<uint8_t>(RefusalReason::block_foreign)));
    if (back) CHECK_NOTHROW(text_of(*back->writeback, "image", CommitPurpose::undo));  // whatever is missing
  }
}

TEST_CASE("a report takes no more memory than it may") {
  ImageReport report;
  report.findings.resize(1000);
  const std::string bytes = to_bytes(report);
  CHECK_FALSE(read(bytes, 1000 * sizeof(Finding) - 1));
  uint64_t budget = 1 << 20;
  CHECK(report_from_bytes(bytes, budget));
  CHECK(budget <= (1 << 20) - 1000 * sizeof(Finding));
}

TEST_CASE("a report that would be printed with what it does not have is none") {
  ImageReport report;
  report.undone = true;
  CHECK_FALSE(read(to_bytes(report)));
  report = {};
  report.findings.resize(2);
  report.changes = Changes{0, Verdict::clean, {true}, {}};
  CHECK_FALSE(read(to_bytes(report)));
}
