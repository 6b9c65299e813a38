// Commits through the journal of a real image: the order of what reaches the disk, and what is left when something fails
// before and after the moment from which on the repair is complete.
#include "scan/format/jbd2_format.h"
#include "tests/support/scrub_sample.h"
#include "writeback/commit/journal_transaction.h"
#include "writeback/undo_log/receipt_hash.h"

namespace extscrub::test::wb {

namespace {

using namespace jbd2;

Extent journal_superblock(const Sample& sample) {
  const CommitRequest& request = sample.request();
  return {request.journal->superblock.value * request.block_size, request.block_size};
}

// What an operation is for, as a word.
std::string word_of(const Sample& sample, const Event& e) {
  const CommitRequest& request = sample.request();
  if (e.operation == Operation::flush) return "flush";
  if (e.at == kSuperblockOffset && !e.queued) {
    const auto superblock = load<Superblock>(e.data);
    std::string word = "superblock";
    if (says_clean(superblock)) word += " valid";
    if (needs_recovery(superblock)) word += " to be recovered";
    return word;
  }
  if (e.touches(journal_superblock(sample))) return be32(e.data, kStart) == 0 ? "log empty" : "log valid";
  const BlockNo block(e.at / request.block_size);
  return std::ranges::find(request.journal->free, block) != request.journal->free.end() ? "log" : "blocks";
}

Bytes part_of(const std::vector<std::byte>& image, Extent extent) { return Bytes(image).subspan(extent.at, extent.length); }

std::set<std::string> errors_now(const Sample& sample) {
  const auto image = Image::open(sample.path());
  REQUIRE(image);
  const auto audited = audit(*image, nullptr, {});
  REQUIRE(audited);
  return errors_of(*audited);
}

}  // namespace

TEST_CASE("through the journal: armed, log, flush, one sector, flush, blocks, flush, empty log, final superblock") {
  const Sample sample(CommitWay::journal);
  Log log;
  const CommitReport report = sample.commit(log);
  REQUIRE(report.outcome == CommitOutcome::committed);
  CHECK(report.through_journal);
  CHECK(report.log_blocks == log_blocks_needed(*sample.request().journal, sample.request().blocks.size()));
  std::vector<std::string> order;
  for (const Event& e : log.events()) {
    if (e.operation == Operation::read) continue;
    if (const std::string word = word_of(sample, e); order.empty() || order.back() != word) order.push_back(word);
  }
  CHECK(order == std::vector<std::string>{"superblock", "flush", "log", "flush", "superblock to be recovered", "flush",
                                          "log valid", "flush", "blocks", "flush", "log empty", "flush", "superblock", "flush",
                                          "superblock valid", "flush"});
  // One sector decides.
  std::vector<std::byte> before(sample.original());
  const Extent at = journal_superblock(sample);
  for (const Event& e : log.events()) {
    if (e.operation != Operation::write || !e.touches(at)) continue;
    CHECK(std::ranges::equal(part_of(before, at).subspan(512), Bytes(e.data).subspan(512)));
  }
  CHECK(std::ranges::equal(part_of(read_file(sample.path()), at), part_of(before, at)));
  sample.judge(true);
  sample.undo();
}

TEST_CASE("receipts: every buffer has the flush that made it durable, and was read back") {
  const Sample sample(GENERATE(CommitWay::journal, CommitWay::direct));
  Log log;
  const CommitReport report = sample.commit(log);
  REQUIRE(report.outcome == CommitOutcome::committed);
  const bool journal = sample.request().way == CommitWay::journal;
  const uint64_t log_flush = journal ? 2 : 0, blocks_flush = journal ? 5 : 2;
  CHECK(report.receipts.size() == sample.request().blocks.size() + report.log_blocks);
  for (const Receipt& r : report.receipts) {
    INFO("block " << r.block.value);
    CHECK((r.submitted && r.completed && r.read_back && r.error == 0));
    CHECK(r.flush == (r.kind == BufferKind::log ? log_flush : r.block == BlockNo(1) ? report.flushes : blocks_flush));
    const Extent extent{r.block.value * 1024, 1024};
    CHECK(r.before_hash == receipt_hash(part_of(sample.original(), extent)));
    CHECK(r.after_hash == receipt_hash(part_of(read_file(sample.path()), extent)));
  }
  CHECK(report.superblock_receipts.size() == (journal ? 6u : 3u));
  for (const Receipt& r : report.superblock_receipts) CHECK((r.completed && r.read_back && r.flush != 0));
}

TEST_CASE("receipts: a flush that failed made nothing durable, nor does the mark's") {
  const Sample sample(CommitWay::direct);
  Log log;
  log.rule = fail_flush(1);  // of the blocks
  const CommitReport report = sample.commit(log);
  REQUIRE(report.outcome == CommitOutcome::errored);
  CHECK(report.marked);
  for (const Receipt& r : report.receipts)
    if (r.submitted) CHECK((r.flush == 0 && r.error == EIO && !r.read_back));
  const Receipt& mark = report.superblock_receipts.back();
  CHECK((mark.kind == BufferKind::mark && mark.flush == 3 && mark.read_back));
}

TEST_CASE("log that cannot be written: the image is as it was, armed and marked") {
  const Sample sample(CommitWay::journal);
  Log log;
  log.rule = [&](const Event& e) -> std::optional<Fault> {
    if (e.operation != Operation::write || word_of(sample, e) != "log") return std::nullopt;
    return Fault{};
  };
  const CommitReport report = sample.commit(log);
  CHECK(report.outcome == CommitOutcome::errored);
  CHECK(report.marked);
  CHECK_FALSE(report.logged);
  for (const Event& e : log.events())
    if (e.operation == Operation::write) CHECK((word_of(sample, e) == "log" || word_of(sample, e) == "superblock"));
  const auto superblock = load<Superblock>(read_file(sample.path()), kSuperblockOffset);
  CHECK_FALSE(says_clean(superblock));
  CHECK_FALSE(needs_recovery(superblock));
  CHECK_FALSE(errors_now(sample).empty());
  sample.judge(false);
  sample.undo();
}

TEST_CASE("log that does not read back is not made valid") {
  const Sample sample(CommitWay::journal);
  Log log;
  log.rule = [&](const Event& e) -> std::optional<Fault> {
    if (e.operation != Operation::write || word_of(sample, e) != "log") return std::nullopt;
    return Fault{static_cast<int64_t>(e.length), 0};  // the device lies
  };
  const CommitReport report = sample.commit(log);
  CHECK(report.outcome == CommitOutcome::errored);
  CHECK_FALSE(report.logged);
  for (const Event& e : log.events())
    if (e.operation == Operation::write) CHECK(word_of(sample, e) != "log valid");
}

TEST_CASE("block that fails behind the log: the journal completes the repair, and the mark is there after the replay",
          "[behaviour-12]") {
  const Sample sample(CommitWay::journal);
  Log log;
  log.rule = [&](const Event& e) -> std::optional<Fault> {
    if (e.operation != Operation::write || word_of(sample, e) != "blocks") return std::nullopt;
    return Fault{};
  };
  const CommitReport report = sample.commit(log);
  CHECK(report.outcome == CommitOutcome::errored);
  CHECK(report.marked);
  CHECK(report.logged);
  CHECK_THAT(text_of(report), Catch::Contains("waits in the image's journal"));
  const auto journal = part_of(read_file(sample.path()), journal_superblock(sample));
  CHECK(be32(read_file(sample.path()), journal_superblock(sample).at + kErrno) == 0xFFFFFFFB);
  CHECK(journal.size() == 1024);
  CHECK(errors_now(sample).empty());
  if (const auto status = run_tool("e2fsck -y -E journal_only " + sample.path().string())) {
    CHECK(*status <= 1);
    const auto superblock = load<Superblock>(read_file(sample.path()), kSuperblockOffset);
    CHECK((load<ext2_super_block>(superblock).s_state & EXT2_ERROR_FS) != 0);
    CHECK_FALSE(needs_recovery(superblock));
    CHECK(*run_tool("e2fsck -p " + sample.path().string()) == 1);
    CHECK(*run_tool("e2fsck -fn " + sample.path().string()) == 0);
  }
}

TEST_CASE("stopped behind the log: the journal completes the repair; stopped before it, the image is as it was") {
  Sample sample(CommitWay::journal);
  const std::string last = GENERATE("log", "log valid");
  Log log;
  bool stop = false;
  log.rule = [&](const Event& e) -> std::optional<Fault> {
    if (e.operation == Operation::write && word_of(sample, e) == last) stop = true;
    return std::nullopt;
  };
  StopAfter progress([&] { return stop; });
  sample.request().progress = &progress;
  CHECK(sample.commit(log).outcome == CommitOutcome::cancelled);
  CHECK(errors_now(sample).empty() == (last == "log valid"));
  const auto superblock = load<Superblock>(read_file(sample.path()), kSuperblockOffset);
  CHECK_FALSE(says_clean(superblock));
  sample.judge(false);
  sample.undo();
}

TEST_CASE("journal that has changed since it was read: refused, nothing written") {
  const Sample sample(CommitWay::journal);
  auto changed = sample.original();
  changed[journal_superblock(sample).at + 900] ^= std::byte{1};
  write_file(sample.path(), changed);
  Log log;
  const CommitReport report = sample.commit(log);
  CHECK(report.outcome == CommitOutcome::refused);
  CHECK_THAT(text_of(report), Catch::Contains("changed since it was read"));
  CHECK(log.count(Operation::write) == 0);
}

TEST_CASE("the journal is asked for where it cannot be had: refused; else the blocks go to their places, with the reason") {
  Sample sample(CommitWay::journal);
  sample.request().journal->free.resize(4);
  Log log;
  const CommitReport refused = sample.commit(log);
  CHECK(refused.outcome == CommitOutcome::refused);
  CHECK_THAT(text_of(refused), Catch::Contains("too little room") && Catch::Contains("--commit=auto"));
  CHECK(log.count(Operation::write) == 0);

  sample.request().way = CommitWay::automatic;
  Log again;
  const CommitReport direct = sample.commit(again);
  CHECK(direct.outcome == CommitOutcome::committed);
  CHECK_FALSE(direct.through_journal);
  CHECK_THAT(direct.why_direct, Catch::Contains("too little room"));
  CHECK(choose_way(sample.request()).why_direct == direct.why_direct);
}

TEST_CASE("log with a block twice, or with one that is something else as well, is refused") {
  const Sample sample(CommitWay::journal);
  CommitRequest request = sample.request();
  JournalSpace& space = *request.journal;
  const int which = GENERATE(0, 1, 2, 3);
  if (which == 0) space.free[1] = space.free[0];
  if (which == 1) space.free[1] = request.blocks.back().block;
  if (which == 2) space.free[1] = space.superblock;
  if (which == 3) space.superblock = BlockNo(1);
  Log log;
  const CommitReport report = commit_with_faults(request, log);
  INFO(text_of(report));
  CHECK(report.outcome == CommitOutcome::refused);
  CHECK(log.count(Operation::write) == 0);
}

TEST_CASE("journal's superblock that cannot be written: the superblock is marked all the same, nothing waits in the journal") {
  const Sample sample(CommitWay::journal);
  Log log;
  log.rule = fail_writes_to(journal_superblock(sample));
  const CommitReport report = sample.commit(log);
  CHECK(report.outcome == CommitOutcome::errored);
  CHECK(report.marked);
  CHECK_FALSE(report.logged);
  CHECK_THAT(text_of(report), !Catch::Contains("waits in the image's journal") && Catch::Contains("but the journal cannot be"));
  CHECK(report.sidecar == sidecar_path(sample.path()));
  CHECK((superblock_in(read_file(sample.path())).s_state & 3) == EXT2_ERROR_FS);
  sample.judge(false);
  sample.undo();
}

TEST_CASE("last superblock that cannot be written: all is in its place, and nothing waits in the journal any more") {
  const Sample sample(CommitWay::journal);
  Log log;
  log.rule = [&, emptied = false](const Event& e) mutable -> std::optional<Fault> {
    if (e.operation != Operation::write) return std::nullopt;
    const std::string word = word_of(sample, e);
    if (word == "log empty") emptied = true;
    if (emptied && word.starts_with("superblock")) return Fault{-EIO, 0};
    return std::nullopt;
  };
  const CommitReport report = sample.commit(log);
  CHECK(report.outcome == CommitOutcome::errored);
  CHECK_FALSE(report.logged);
  CHECK_THAT(text_of(report),
             !Catch::Contains("waits in the image's journal") && Catch::Contains("the whole repair is on the image"));
}

}  // namespace extscrub::test::wb
