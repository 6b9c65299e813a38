#include <cerrno>

#include "cli/report/report.h"
#include "tests/cli/cli_support.h"
#include "tests/support/catch.h"

using namespace extscrub;
using extscrub::test::finding;

namespace {

ImageReport report_with(Verdict verdict, std::vector<Finding> findings) {
  ImageReport report;
  report.path = "disk.img";
  report.verdict = verdict;
  report.findings = std::move(findings);
  return report;
}

std::string last_line(const std::string& text) {
  const size_t end = text.find_last_not_of('\n');
  const size_t begin = text.rfind('\n', end);
  return text.substr(begin == std::string::npos ? 0 : begin + 1, end - (begin == std::string::npos ? 0 : begin));
}

Finding wrong_blocks(RepairState state = RepairState::none) {
  Finding f = finding(Problem::inode_blocks);
  f.group = GroupNo(0);
  f.inode = InodeNo(12);
  f.path = "/etc/passwd";
  f.field = "i_blocks";
  f.evidence = WrongNumber{8, 16};
  f.repair = state;
  return f;
}

ImageReport report_of_commit(CommitOutcome outcome) {
  ImageReport image = report_with(Verdict::errored, {});
  image.repairs = RepairReport{};
  image.writeback = CommitReport{};
  image.writeback->outcome = outcome;
  return image;
}

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("a clean image is one line") { CHECK(text_report(report_with(Verdict::clean, {}), {}) == "disk.img: clean\n"); }

TEST_CASE("what was not audited says why, and is quiet where it needs no audit") {
  ImageReport report = report_with(Verdict::not_audited, {});
  report.not_audited = "holds swap space";
  CHECK(text_report(report, {}) == "disk.img: not-audited (holds swap space)\n");
  CHECK(text_report(report, {.quiet = true}).empty());
  report.exit_status = 4;
  CHECK(text_report(report, {.quiet = true}) == "disk.img: not-audited (holds swap space)\n");
}

TEST_CASE("findings past the limit have a line a code, and are in all counts") {
  ImageReport report = report_with(Verdict::damaged, {wrong_blocks(RepairState::left)});
  report.past = {{Problem::inode_blocks, RepairState::left, 7}, {Problem::inode_dtime_set, RepairState::none, 2}};
  report.without_path = 3;
  const std::string text = text_report(report, {});
  CHECK(has(text, "  error   7 more, past --max-findings: inode-blocks-count: i_blocks is wrong [not repaired]\n"));
  CHECK(has(text, "  3 findings have no path: the names of so many inodes are not looked up\n"));
  CHECK(last_line(text) == "disk.img: damaged (10 errors; 8 left)");
  report.findings.clear();
  CHECK(text_report(report, {}).starts_with("disk.img\n  error "));
}

TEST_CASE("a finding's line has its place, code, values and what is done about it") {
  const std::string text = text_report(report_with(Verdict::damaged, {wrong_blocks()}), {});
  CHECK(text ==
        "disk.img\n"
        "  error   group 0, inode 12 (/etc/passwd), i_blocks: inode-blocks-count: i_blocks is wrong: expected 8, found "
        "16 "
        "[`extscrub scrub` repairs it]\n"
        "disk.img: damaged (1 error)\n");
}

TEST_CASE("the line says what became of the repair") {
  const auto line = [](RepairState state, Problem problem, RepairPolicy policy) {
    Finding f = wrong_blocks(state);
    f.problem = problem;
    ImageReport report = report_with(Verdict::damaged, {f});
    report.repairs = RepairReport{policy, false, false, 1, 0, {}};
    return text_report(report, {});
  };
  CHECK(has(line(RepairState::made, Problem::inode_blocks, RepairPolicy::safe), "[repaired]"));
  CHECK(has(line(RepairState::staged, Problem::inode_blocks, RepairPolicy::safe), "[would be repaired]"));
  CHECK(has(line(RepairState::left, Problem::inode_blocks, RepairPolicy::safe), "[not repaired]"));
  CHECK(has(line(RepairState::left, Problem::read_error, RepairPolicy::safe), "[no repair yet]"));
  CHECK(has(line(RepairState::none, Problem::inode_blocks, RepairPolicy::none), "[`extscrub scrub` repairs it]"));
}

TEST_CASE("no repair is promised where metadata cannot be read") {
  const auto text = [](Problem unread) {
    Finding unattached = finding(Problem::inode_unattached);
    unattached.inode = InodeNo(13);
    Finding lossy = finding(Problem::extent_header);
    lossy.inode = InodeNo(14);
    return text_report(report_with(Verdict::damaged, {finding(unread), wrong_blocks(), unattached, lossy}), {});
  };
  const std::string with_metadata = text(Problem::read_error);
  CAPTURE(with_metadata);
  CHECK_FALSE(has(with_metadata, "scrub"));
  CHECK_FALSE(has(with_metadata, "--repair=all"));
  CHECK(has(with_metadata, "[no repair is promised while metadata cannot be read]"));
  CHECK(has(with_metadata, "read-error: cannot be read from the device [no repair yet]"));
  // The contents of files say nothing about metadata.
  const std::string with_contents = text(Problem::data_unreadable);
  CHECK(has(with_contents, "[`extscrub scrub` repairs it]"));
  CHECK(has(with_contents, "[needs --repair=all]"));
}

TEST_CASE("a run of blocks is one line with its count, and with verbose a line each") {
  std::vector<Finding> findings;
  for (uint64_t block = 9000; block < 9600; ++block) {
    Finding f = finding(Problem::block_bitmap_mismatch);
    f.group = GroupNo(1);
    f.block = BlockNo(block);
    f.evidence = WrongBits{.should_be_set = true};
    findings.push_back(f);
  }
  const ImageReport report = report_with(Verdict::damaged, findings);
  const std::string text = text_report(report, {});
  CHECK(has(text, "group 1, blocks 9000-9599 (600): block-bitmap-mismatch"));
  CHECK(std::ranges::count(text, '\n') == 3);
  CHECK(last_line(text) == "disk.img: damaged (600 errors)");
  const std::string verbose = text_report(report, {.verbose = true});
  CHECK(std::ranges::count(verbose, '\n') == 602);
  CHECK(has(verbose, "block 9599:"));
}

TEST_CASE("an inode that is garbage is one line, and one for what is found in it") {
  std::vector<Finding> findings;
  for (const Problem problem : {Problem::inode_checksum, Problem::inode_dtime_set, Problem::inode_mode}) {
    findings.push_back(test::at_inode(problem, 12));
    findings.back().path = "/etc/passwd";
  }
  const ImageReport report = report_with(Verdict::damaged, findings);
  CHECK(text_report(report, {}) ==
        "disk.img\n"
        "  error   group 0, inode 12 (/etc/passwd): inode is garbage [needs --repair=all]\n"
        "          3 findings: inode-checksum-mismatch 1, inode-dtime-set 1, inode-mode-invalid 1; 1 of them [`extscrub scrub` "
        "repairs it]\n"
        "disk.img: damaged (3 errors)\n");
  CHECK(std::ranges::count(text_report(report, {.verbose = true}), '\n') == 5);
}

TEST_CASE("a garbage inode is as hard to mend as the hardest of its findings") {
  const auto garbage = [](RepairState last, Problem problem) {
    std::vector<Finding> findings;
    for (const Problem each : {Problem::inode_dtime_set, Problem::inode_extra_isize, problem}) {
      findings.push_back(test::at_inode(each, 12));
      findings.back().repair = RepairState::made;
    }
    findings.back().repair = last;
    return text_report(report_with(Verdict::damaged, findings), {});
  };
  CHECK(has(garbage(RepairState::made, Problem::inode_field_nonzero), "inode 12: inode is garbage [repaired]\n"));
  CHECK(has(garbage(RepairState::left, Problem::inode_field_nonzero), "inode 12: inode is garbage [not repaired]\n"));
  CHECK(has(garbage(RepairState::left, Problem::inode_mode), "inode 12: inode is garbage [needs --repair=all]\n"));
  std::vector<Finding> safe;
  for (const Problem each : {Problem::inode_dtime_set, Problem::inode_extra_isize, Problem::inode_field_nonzero})
    safe.push_back(test::at_inode(each, 12));
  CHECK(has(text_report(report_with(Verdict::damaged, safe), {}), "inode is garbage [`extscrub scrub` repairs it]\n"));
}

TEST_CASE("what follows stands under its cause") {
  Finding checksum = finding(Problem::block_bitmap_checksum), bits = finding(Problem::block_bitmap_mismatch);
  checksum.group = bits.group = GroupNo(2);
  checksum.block = BlockNo(70), bits.block = BlockNo(90);
  bits.evidence = WrongBits{.should_be_set = false};
  Finding elsewhere = bits;
  elsewhere.group = GroupNo(3);
  CHECK(text_report(report_with(Verdict::damaged, {checksum, bits, elsewhere}), {}) ==
        "disk.img\n"
        "  error   group 2, block 70: block-bitmap-checksum-mismatch: block bitmap checksum does not match [`extscrub scrub` "
        "repairs it]\n"
        "          1 more follows: block-bitmap-mismatch 1\n"
        "  error   group 3, block 90: block-bitmap-mismatch: block bitmap is wrong: expected free, found in use [`extscrub "
        "scrub` repairs it]\n"
        "disk.img: damaged (3 errors)\n");
}

TEST_CASE("beyond two screens alike findings of a directory are one line, and all are counted at the end") {
  std::vector<Finding> findings;
  for (uint32_t i = 0; i < 200; ++i) {
    Finding f = wrong_blocks();
    f.inode = InodeNo(20 + 2 * i);
    f.path = i < 150 ? "/var/" + std::to_string(i) : "/usr/" + std::to_string(i);
    findings.push_back(f);
  }
  findings.push_back(test::at_inode(Problem::inode_mode, 600));
  const std::string text = text_report(report_with(Verdict::damaged, findings), {});
  CHECK(text ==
        "disk.img\n"
        "  error   in /var: inode-blocks-count: i_blocks is wrong: 150 findings in 150 inodes (0, 1, 2 and 147 more) [`extscrub "
        "scrub` repairs it]\n"
        "  error   in /usr: inode-blocks-count: i_blocks is wrong: 50 findings in 50 inodes (150, 151, 152 and 47 more) "
        "[`extscrub scrub` repairs it]\n"
        "  error   group 0, inode 600: inode-mode-invalid: inode has an unknown type: expected 0, found 1 [needs --repair=all]\n"
        "  by code: inode-blocks-count 200, inode-mode-invalid 1\n"
        "  in /var: 150 files touched (0, 1, 2 and 147 more)\n"
        "  in /usr: 50 files touched (150, 151, 152 and 47 more)\n"
        "  without a path: 1 inode touched\n"
        "  --verbose has every finding, --affected FILE a list of what is touched\n"
        "disk.img: damaged (201 errors)\n");
}

TEST_CASE("findings all over the tree are a line a code") {
  std::vector<Finding> findings;
  for (uint32_t i = 0; i < 200; ++i) {
    Finding f = wrong_blocks(i % 2 ? RepairState::made : RepairState::left);
    f.inode = InodeNo(20 + 2 * i);
    f.path = "/d" + std::to_string(i) + "/file\n";
    findings.push_back(f);
  }
  ImageReport report = report_with(Verdict::damaged, findings);
  report.past = {{Problem::inode_mode, RepairState::left, 7}};
  const std::string text = text_report(report, {});
  CHECK(has(text,
            "  error   in 100 directories: inode-blocks-count: i_blocks is wrong: 100 findings in 100 inodes (/d0/file\\n, "
            "/d2/file\\n, /d4/file\\n and 97 more) [not repaired]\n"));
  CHECK(has(text, "(/d1/file\\n, /d3/file\\n, /d5/file\\n and 97 more) [repaired]\n"));
  CHECK(has(text, "by code: inode-blocks-count 200, inode-mode-invalid 7\n"));
  CHECK(has(text, "in 180 more directories: 180 files touched\n"));
  CHECK(std::ranges::count(text, '\n') < 30);
}

TEST_CASE("many findings of inodes without a path name these by number") {
  std::vector<Finding> findings;
  for (uint32_t i = 0; i < 200; ++i) {
    Finding f = finding(Problem::indirect_out_of_range);
    f.group = GroupNo(i % 4);
    f.inode = InodeNo(i % 4 == 3 ? 90 : 20);
    f.block = BlockNo(1000 + 2 * i);
    findings.push_back(f);
  }
  sort_findings(findings);
  CHECK(has(text_report(report_with(Verdict::damaged, findings), {}),
            "groups 0-3 (4): indirect-block-out-of-range: block number lies outside the file system: 200 findings in 2 inodes "
            "(inodes 20 to 90) ["));
  std::erase_if(findings, [](const Finding& f) { return f.inode != InodeNo(20); });
  CHECK(has(text_report(report_with(Verdict::damaged, findings), {}), "150 findings in 1 inode (inode 20) ["));
}

TEST_CASE("consequences that nothing is done about say nothing of it") {
  Finding lost = finding(Problem::inodes_lost), names = finding(Problem::names_lost);
  lost.group = names.group = GroupNo(1);
  names.block = BlockNo(9);
  CHECK(has(text_report(report_with(Verdict::damaged, {lost, names}), {}), "          1 more follows: names-lost 1\n"));
}

TEST_CASE("what is new is not counted under what was known") {
  std::vector<Finding> findings;
  for (const Problem problem : {Problem::inode_checksum, Problem::inode_dtime_set, Problem::inode_mode})
    findings.push_back(test::at_inode(problem, 12));
  ImageReport report = report_with(Verdict::damaged, findings);
  report.changes = Changes{0, Verdict::damaged, {false, true, false}, {}};
  CHECK(has(text_report(report, {}), "new since 1970-01-01T00:00:00Z:\n  error   group 0, inode 12: inode-dtime-set: "));
}

TEST_CASE("many losses and blocks of a dry run are counted, and with verbose have a line each") {
  ImageReport report = report_with(Verdict::damaged, {});
  report.repairs = RepairReport{RepairPolicy::all, true, true, 1, 0, {}};
  for (uint32_t i = 0; i < 30; ++i) {
    report.repairs->losses.push_back({Problem::inode_mode, InodeNo(20 + i), "", "cleared", {}});
    report.repairs->blocks.push_back({BlockNo(i), "", "a", "b"});
  }
  const std::string text = text_report(report, {});
  CHECK(has(text, "  loss    10 more (inode-mode-invalid 10): --verbose, --affected and --format=json have all\n"));
  CHECK(has(text, "  would write 10 blocks more: --verbose and --format=json have all\n"));
  CHECK(has(text, "would write block 19: "));
  CHECK_FALSE(has(text, "would write block 20: "));
  CHECK(has(text_report(report, {.verbose = true}), "would write block 29: "));
}

TEST_CASE("quiet leaves out clean images and everything but the verdict of the others") {
  CHECK(text_report(report_with(Verdict::clean, {}), {.quiet = true}).empty());
  CHECK(text_report(report_with(Verdict::damaged, {wrong_blocks()}), {.quiet = true}) == "disk.img: damaged (1 error)\n");
}

TEST_CASE("the summary counts by severity and by what became of the repairs") {
  Finding note = finding(Problem::superblock_past_errors);
  Finding warning = finding(Problem::superblock_backup_bad);
  warning.repair = RepairState::left;
  const std::string text = text_report(report_with(Verdict::repaired, {note, warning, wrong_blocks(RepairState::made)}), {});
  CHECK(last_line(text) == "disk.img: repaired (1 error, 1 warning, 1 note; 1 repaired, 1 left)");
}

TEST_CASE("a dry run lists the blocks, with a hash before and after") {
  ImageReport report = report_with(Verdict::damaged, {wrong_blocks(RepairState::staged)});
  report.repairs =
      RepairReport{RepairPolicy::safe, true, true, 1, 0, {{BlockNo(1059), "block bitmap of group 3", "12ab", "00cd"}}};
  CHECK(has(text_report(report, {}), "would write block 1059 (block bitmap of group 3): 12ab -> 00cd\n"));
}

TEST_CASE("colour only when it is asked for") {
  const ImageReport report = report_with(Verdict::damaged, {wrong_blocks()});
  CHECK_FALSE(has(text_report(report, {}), "\x1b"));
  CHECK(has(text_report(report, {.color = true}), "\x1b["));
}

TEST_CASE("a path from the image cannot move the cursor") {
  Finding f = wrong_blocks();
  f.path = "/a\x1b[2Jb";
  ImageReport report = report_with(Verdict::damaged, {f});
  report.path = "di\nsk.img";
  const std::string text = text_report(report, {});
  CHECK_FALSE(has(text, "\x1b"));
  CHECK(has(text, "(/a\\x1b[2Jb)"));
  CHECK(last_line(text).starts_with("di\\nsk.img: "));
}

TEST_CASE("times and rates stand only in the verbose report") {
  ImageReport report = report_with(Verdict::damaged, {wrong_blocks()});
  report.statistics = AuditStatistics{10, 2, 100, 4096, {}, Seconds(1.5)};
  const std::string text = text_report(report, {});
  report.statistics->seconds = Seconds(3);
  report.timings.total = Seconds(9);
  CHECK(text_report(report, {}) == text);
  CHECK(has(text_report(report, {.verbose = true}), "3.00 s"));
}

TEST_CASE("a commit that failed: a receipt of every buffer, the failed ones first") {
  ImageReport image = report_of_commit(CommitOutcome::errored);
  CommitReport& commit = *image.writeback;
  commit.superblock_receipts = {{BlockNo(1), 1, 2, true, true, true, 0, 1, BufferKind::superblock}};
  commit.receipts = {{BlockNo(7), 0x10, 0x20, true, true, false, 0, 0},
                     {BlockNo(8), 0x11, 0x21, true, false, false, EIO, 0},
                     {BlockNo(9), 0x12, 0x22, false, false, false, 0, 0}};
  const std::string text = text_report(image, {});
  CHECK(
      text.find("  receipt block 8: 0000000000000011 -> 0000000000000021, submitted, failed: Input/output error\n"
                "  receipt superblock in block 1: 0000000000000001 -> 0000000000000002, written, durable by flush 1, read back\n"
                "  receipt block 7: 0000000000000010 -> 0000000000000020, written\n"
                "  receipt block 9: 0000000000000012 -> 0000000000000022, not submitted\n") != std::string::npos);

  commit.receipts.assign(100, commit.receipts[0]);
  CHECK(text_report(image, {}).find("61 receipts more: --verbose") != std::string::npos);
  CHECK(text_report(image, {.verbose = true}).find("receipts more") == std::string::npos);
  commit.outcome = CommitOutcome::committed;
  CHECK(text_report(image, {}).find("receipt") == std::string::npos);
}

TEST_CASE("the way of a commit is told, and why it was not the journal's") {
  ImageReport image = report_of_commit(CommitOutcome::committed);
  image.writeback->through_journal = true;
  CHECK(text_report(image, {}).find("read back; as one transaction of the journal\n") != std::string::npos);
  image.writeback->through_journal = false;
  image.writeback->why_direct = "the file system has no journal";
  CHECK(text_report(image, {}).find("read back; in place, not through the journal: the file system has no journal\n") !=
        std::string::npos);
}

TEST_CASE("bytes that the device does not give: which, and what share of each structure was verified") {
  Finding bitmap = finding(Problem::read_error), table = bitmap, map = bitmap;
  bitmap.group = GroupNo(1);
  bitmap.block = BlockNo(300);
  bitmap.evidence = Unreadable{UnreadPart::block_bitmap, "block bitmap"};
  table.group = GroupNo(1);
  table.block = BlockNo(310);
  table.block_count = 4;
  table.evidence = Unreadable{UnreadPart::inode_table, "inode table: Input/output error"};
  map.inode = InodeNo(12);
  map.path = "/a/file";
  map.block = BlockNo(900);
  map.field = "block map";
  map.evidence = Unreadable{UnreadPart::block_map, ""};
  Finding again = map;
  again.block = BlockNo(902);
  ImageReport image = report_with(Verdict::damaged, {bitmap, table, map, again});
  image.info = ImageInfo{};
  image.info->block_size = 1024;
  image.info->groups = 4;
  image.info->inodes = 1024;
  image.info->inode_size = 256;
  image.statistics = AuditStatistics{};
  image.statistics->inodes_in_use = 3;
  const std::string text = text_report(image, {.verbose = true});
  CHECK(has(text, "inode 12 (/a/file), block 900, block map: read-error: cannot be read from the device, bytes 921600-922623"));
  CHECK(has(text, "bytes 317440-321535"));
  CHECK(has(text,
            "  verified: 75.0 % of the block bitmaps (1 of 4 groups could not be read), 98.4 % of the inode tables (4 of 256 "
            "blocks could not be read), 66.6 % of the block maps (1 of 3 inodes could not be read); all else\n"));
  image.findings.clear();
  CHECK_FALSE(has(text_report(image, {.verbose = true}), "verified:"));
}
