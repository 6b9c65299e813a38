#include "scan/format/crc.h"
#include "scan/format/journal_superblock.h"
#include "scan/format/superblock.h"
#include "tests/writeback/writeback_support.h"
#include "writeback/commit/commit.h"
#include "writeback/undo_log/receipt_hash.h"

namespace extscrub::test::wb {

TEST_CASE("commit writes every staged block and the final superblock, and nothing else") {
  TestImage image;
  image.stage({2, 3, 4, 20, 63});
  const auto lock = ImageLock::acquire(image.path());
  REQUIRE(lock);
  const auto report = commit(image.request(generate_queue_kind(image.path())), *lock);
  CHECK(report.outcome == CommitOutcome::committed);
  CHECK(text_of(report).empty());
  CHECK(report.armed);
  CHECK(report.blocks_written == 5);
  CHECK(report.failures() == 0);
  CHECK(image.now() == image.repaired());
  REQUIRE(report.receipts.size() == 5);
  for (const Receipt& r : report.receipts) {
    CHECK((r.submitted && r.completed && r.read_back && r.error == 0));
    const auto extent = image.extent_of(r.block.value);
    CHECK(r.before_hash == receipt_hash(Bytes(image.original()).subspan(extent.at, extent.length)));
    CHECK(r.after_hash == receipt_hash(Bytes(image.repaired()).subspan(extent.at, extent.length)));
  }
}

TEST_CASE("commit works for every block size, sector size, offset and tail, and never writes outside the image") {
  ImageOptions options;
  options.block_size = GENERATE(1024u, 4096u);
  options.offset = GENERATE(0u, 512u, 700u, 1048576u + 1536u);
  options.tail = GENERATE(0u, 512u, 700u);
  const uint32_t alignment = GENERATE(512u, 4096u);
  TestImage image(options);
  image.stage({0, 1, 2, 5, 6, 7, 8, 20});
  for (uint64_t b = 40; b < 64; ++b) image.stage(b);
  if (options.tail > 0) image.stage(64);
  Log log;
  const auto report = commit_with_faults(image.request(generate_queue_kind(image.path())), log, alignment);
  INFO(text_of(report));
  REQUIRE(report.outcome == CommitOutcome::committed);
  CHECK(image.now() == image.repaired());  // the size included
  for (const Receipt& r : report.receipts) CHECK((r.submitted && r.completed && r.read_back));
  for (const Event& e : log.events()) {
    if (e.operation != Operation::write) continue;
    CHECK(e.at >= options.offset);
    CHECK(e.at + e.length <= image.original().size());
    if (e.queued) CHECK((e.at % alignment == 0 && e.length % alignment == 0));
  }
}

TEST_CASE("image that ends in the middle of a block: the block is written up to the end, the size stays", "[behaviour-16]") {
  ImageOptions options;
  options.tail = 1500;
  TestImage image(options);
  image.stage(64);
  Log log;
  REQUIRE(commit_with_faults(image.request(), log).outcome == CommitOutcome::committed);
  CHECK(image.now().size() == image.original().size());
  CHECK(image.now() == image.repaired());
}

TEST_CASE("nothing staged and the final superblock is there: nothing to do, not one byte written") {
  TestImage image;
  image.final_superblock() = image.superblock_before();
  Log log;
  CHECK(commit_with_faults(image.request(), log).outcome == CommitOutcome::nothing_to_do);
  CHECK(log.count(Operation::write) == 0);
  CHECK(log.count(Operation::flush) == 0);
}

TEST_CASE("superblock that is as arming leaves it is not written again: a write that lands elsewhere would not be seen") {
  TestImage image;
  Superblock before = image.superblock_before();
  arm_superblock(before);
  image.put_superblock(before);
  image.stage({2, 9});
  Log log;
  REQUIRE(commit_with_faults(image.request(), log).outcome == CommitOutcome::committed);
  size_t blocks = 0;
  for (const Event& e : log.events()) {
    if (e.operation != Operation::write) continue;
    const bool superblock = e.touches({kSuperblockOffset, kSuperblockSize});
    CHECK(superblock == (blocks == 2));
    blocks += !superblock;
  }
  CHECK(image.now() == image.repaired());
}

TEST_CASE("only the superblock changes") {
  TestImage image({.block_size = GENERATE(1024u, 4096u)});
  Log log;
  REQUIRE(commit_with_faults(image.request(), log).outcome == CommitOutcome::committed);
  CHECK(image.now() == image.repaired());
}

TEST_CASE("order: armed and flushed, then blocks, flushed, then the valid bit alone, last") {
  TestImage image({.block_size = GENERATE(1024u, 4096u)});
  image.stage({0, 1, 2, 9, 30});
  Log log;
  REQUIRE(commit_with_faults(image.request(), log).outcome == CommitOutcome::committed);

  std::vector<std::string> order;
  size_t says_valid = 0;
  const Extent superblock{kSuperblockOffset, kSuperblockSize};
  for (const Event& e : log.events()) {
    if (e.operation == Operation::read) continue;
    std::string what = e.operation == Operation::flush ? "flush" : e.queued ? "blocks" : "superblock";
    if (e.operation == Operation::write && e.at <= superblock.at && e.at + e.length >= superblock.end()) {
      const auto sb = load<ext2_super_block>(e.data, superblock.at - e.at);
      CHECK((sb.s_state & ~1) == 4);
      if ((sb.s_state & 1) != 0) ++says_valid, what += " valid";
    }
    if (order.empty() || order.back() != what) order.push_back(what);
  }
  CHECK(order ==
        std::vector<std::string>{"superblock", "flush", "blocks", "flush", "superblock", "flush", "superblock valid", "flush"});
  CHECK(says_valid == 1);
}

TEST_CASE("before-image that differs: refused, nothing written", "[behaviour-27]") {
  TestImage image({.block_size = GENERATE(1024u, 4096u)});
  const uint64_t block = GENERATE(0u, 1u, 5u, 30u);
  image.stage({0, 1, 5, 30});
  auto changed = image.original();
  const auto at = image.extent_of(block).at + 999;
  changed[at] ^= std::byte{1};
  write_file(image.path(), changed);
  Log log;
  const auto report = commit_with_faults(image.request(), log);
  CHECK(report.outcome == CommitOutcome::refused);
  CHECK(report.error_block() == BlockNo(block));
  CHECK_THAT(text_of(report), Catch::Contains("changed since it was read"));
  CHECK(log.count(Operation::write) == 0);
  CHECK(image.now() == changed);
}

TEST_CASE("before-image that cannot be read: refused with its errno, nothing written") {
  TestImage image;
  image.stage({5, 9});
  Log log;
  log.rule = [&](const Event& e) -> std::optional<Fault> {
    if (e.operation != Operation::read || !e.touches(image.extent_of(9))) return std::nullopt;
    return Fault{-EIO, 0};
  };
  const auto report = commit_with_faults(image.request(), log);
  CHECK(report.outcome == CommitOutcome::refused);
  CHECK(report.error() == EIO);
  CHECK(log.count(Operation::write) == 0);
}

TEST_CASE("nonsense is refused: a block behind the end, blocks out of order, a block size that is none") {
  TestImage image;
  image.stage({5, 9});
  auto request = image.request();
  SECTION("behind the end") { request.blocks[1].block = BlockNo(64); }
  SECTION("out of order") { request.blocks[1].block = BlockNo(5); }
  SECTION("block size") { request.block_size = 4095; }
  SECTION("offset behind the end") { request.offset = 1 << 30; }
  SECTION("journal behind the end") { request.journal_superblock = BlockNo(64); }
  Log log;
  CHECK(commit_with_faults(request, log).outcome == CommitOutcome::refused);
  CHECK(log.count(Operation::write) == 0);
}

TEST_CASE("image that cannot be opened for writing is refused") {
  TestImage image;
  image.stage(5);
  auto request = image.request();
  const auto lock = ImageLock::acquire(image.path());
  REQUIRE(lock);
  SECTION("not there") { request.path += ".not"; }
  SECTION("a directory") { request.path = request.path.parent_path(); }
  const auto report = commit(request, *lock);
  CHECK(report.outcome == CommitOutcome::refused);
  CHECK(report.error() != 0);
  CHECK_FALSE(text_of(report).empty());
}

TEST_CASE("cancelled before the first write: untouched") {
  TestImage image;
  image.stage({3, 9});
  StopAfter progress([] { return true; });
  auto request = image.request();
  request.progress = &progress;
  Log log;
  const auto report = commit_with_faults(request, log);
  CHECK(report.outcome == CommitOutcome::cancelled);
  CHECK_FALSE(report.armed);
  CHECK(log.count(Operation::write) == 0);
}

TEST_CASE("cancelled while writing: what is in hand is finished, the image stays armed") {
  TestImage image;
  for (uint64_t b = 2; b < 62; b += 2) image.stage(b);
  Log log;
  const size_t after = GENERATE(1u, 2u, 5u);
  StopAfter progress([&] { return log.count(Operation::write) >= after; });
  auto request = image.request(generate_queue_kind(image.path()));
  request.progress = &progress;
  const auto report = commit_with_faults(request, log, 0, 2);
  CHECK(report.outcome == CommitOutcome::cancelled);
  CHECK(report.armed);
  CHECK_FALSE(report.marked);
  CHECK(log.count(Operation::write) == after);
  CHECK(image.superblock_now().s_state == 4);
  bool flushed = false;
  for (const Event& e : log.events())
    if (e.operation != Operation::read) flushed = e.operation == Operation::flush;
  CHECK(flushed);
}

TEST_CASE("no memory for the writer: refused, the image untouched") {
  TestImage image;
  image.stage({3, 9});
  struct Deep final : WriteQueue {
    QueueKind kind() const override { return QueueKind::threads; }
    unsigned depth() const override { throw std::bad_alloc(); }
    int submit(const WriteOp&) override { return EIO; }
    Result<Completion> reap() override { return std::unexpected(Error()); }
  } queue;
  const auto device = open_write_device(image.path());
  REQUIRE(device);
  const auto report = commit_on(image.request(), **device, queue);
  CHECK(report.outcome == CommitOutcome::refused);
  CHECK(report.error() == ENOMEM);
  CHECK(image.now() == image.original());
}

}  // namespace extscrub::test::wb
