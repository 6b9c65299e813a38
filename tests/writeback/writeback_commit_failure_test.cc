// What a commit does when something fails: the latch, and what is counted, flushed and read back.
#include <sys/mount.h>

#include "tests/writeback/writeback_support.h"
#include "writeback/commit/commit.h"

namespace extscrub::test::wb {

namespace {

size_t reads_of(const Log& log, Extent extent, size_t from_event) {
  size_t n = 0;
  for (size_t i = from_event; i < log.events().size(); ++i)
    n += log.events()[i].operation == Operation::read && log.events()[i].touches(extent);
  return n;
}

}  // namespace

TEST_CASE("failed block write: errored, marked with block and errno, never read again, memory has the new bytes",
          "[behaviour-24][behaviour-30]") {
  const int error = GENERATE(EIO, ENOSPC, EDQUOT, EFBIG);
  TestImage image({.block_size = GENERATE(1024u, 4096u)});
  image.put_superblock([&] {  // errors=continue changes nothing about it
    auto bytes = image.superblock_before();
    auto sb = load<ext2_super_block>(bytes);
    sb.s_errors = 1;
    store(bytes, 0, sb);
    seal_superblock(bytes);
    return bytes;
  }());
  image.stage({3, 5, 20, 30});
  Log log;
  log.rule = fail_writes_to(image.extent_of(20), error);
  const auto request = image.request(generate_queue_kind(image.path()));
  const auto report = commit_with_faults(request, log);
  CHECK(report.outcome == CommitOutcome::errored);
  CHECK(report.error() == error);
  CHECK(report.error_block() == BlockNo(20));
  CHECK(report.failures() == 1);
  CHECK(report.marked);
  CHECK(report.sidecar.empty());
  CHECK_FALSE(std::filesystem::exists(sidecar_path(image.path())));

  const auto sb = image.superblock_now();
  CHECK(sb.s_state == (2 | 4));
  CHECK(sb.s_errors == 1);
  CHECK(sb.s_error_count == 1);
  CHECK(sb.s_first_error_block == 20);
  CHECK(sb.s_first_error_errcode == error_code_of(error));
  CHECK(sb.s_free_blocks_count != 4711);  // the final superblock has not gone out
  CHECK(image.superblock_is_sealed());

  size_t failed_at = 0;
  while (!log.events()[failed_at].touches(image.extent_of(20)) || log.events()[failed_at].operation != Operation::write)
    ++failed_at;
  CHECK(reads_of(log, image.extent_of(20), failed_at) == 0);
  CHECK(reads_of(log, image.extent_of(3), failed_at) == 0);
  const auto& receipt = report.receipts[2];
  CHECK((receipt.submitted && !receipt.completed && !receipt.read_back && receipt.error == error));
  CHECK(image.request().blocks[2].after[0] == request.blocks[2].after[0]);
}

TEST_CASE("failed block: an overlay goes on serving the new bytes, without a read of the device", "[behaviour-1]") {
  TestImage image;
  const auto opened = Image::open(image.path());
  REQUIRE(opened);
  Overlay overlay(*opened, 4096);
  for (const uint64_t b : {5u, 9u}) {
    const auto bytes = overlay.edit(BlockNo(b));
    REQUIRE(bytes);
    std::ranges::fill(*bytes, std::byte{0xAB});
  }
  CommitRequest request = image.request();
  request.blocks = overlay.staged();
  Log log;
  log.rule = fail_writes_to(image.extent_of(9));
  REQUIRE(commit_with_faults(request, log).outcome == CommitOutcome::errored);
  std::vector<std::byte> again(4096);
  REQUIRE(overlay.read(BlockNo(9), again));
  CHECK(again == std::vector<std::byte>(4096, std::byte{0xAB}));
  REQUIRE(overlay.staged().size() == 2);
}

TEST_CASE("failed block and memory that gets short: the overlay does not drop it, nor reads it again", "[behaviour-2]") {
  TestImage image;
  const auto opened = Image::open(image.path());
  REQUIRE(opened);
  Overlay overlay(*opened, 4096, 4 * 4096);  // no more than two blocks, before and after, stay on the heap
  const auto fill = [&](uint64_t block) {
    const auto bytes = overlay.edit(BlockNo(block));
    REQUIRE(bytes);
    std::ranges::fill(*bytes, static_cast<std::byte>(block));
  };
  for (const uint64_t block : {5u, 9u}) fill(block);
  CommitRequest request = image.request();
  request.blocks = overlay.staged();
  Log log;
  log.rule = fail_writes_to(image.extent_of(9));
  REQUIRE(commit_with_faults(request, log).outcome == CommitOutcome::errored);
  for (uint64_t block = 20; block < 60; ++block) fill(block);
  write_file(image.path(), std::vector<std::byte>(image.original().size()));  // who reads the disk finds zeros
  std::vector<std::byte> again(4096);
  for (const uint64_t block : {5u, 9u, 20u, 59u}) {
    REQUIRE(overlay.read(BlockNo(block), again));
    CHECK(again == std::vector<std::byte>(4096, static_cast<std::byte>(block)));
  }
}

TEST_CASE("one write of many blocks fails: every block of it has the error in its receipt, counted once") {
  TestImage image;
  image.stage({3, 4, 5, 40});
  Log log;
  log.rule = fail_writes_to(image.extent_of(4));
  const auto report = commit_with_faults(image.request(), log, 0, 1);
  CHECK(report.failures() == 1);
  for (size_t i = 0; i < 3; ++i) CHECK((report.receipts[i].error == EIO && !report.receipts[i].completed));
  CHECK((!report.receipts[3].submitted && report.receipts[3].error == 0));
  CHECK(report.error_block() == BlockNo(3));
}

TEST_CASE("many failures in flight: one mark, all counted, first and last named", "[behaviour-5]") {
  TestImage image;
  for (uint64_t b = 2; b < 62; b += 2) image.stage(b);
  Log log;
  log.rule = [](const Event& e) -> std::optional<Fault> {
    if (!e.queued) return std::nullopt;
    return Fault{-EIO, 0};
  };
  const auto report = commit_with_faults(image.request(generate_queue_kind(image.path())), log, 0, 10);
  CHECK(report.failures() == 10);
  const auto sb = image.superblock_now();
  CHECK(sb.s_error_count == 10);
  CHECK(sb.s_first_error_block == 2);
  CHECK(sb.s_last_error_block == 20);
  size_t superblocks = 0;
  for (const Event& e : log.events()) superblocks += e.operation == Operation::write && !e.queued;
  CHECK(superblocks == 2);  // armed, marked
}

TEST_CASE("mark is written by a thread of its own, when nothing is in flight, as the last write", "[behaviour-6]") {
  TestImage image;
  image.stage({3, 9, 20});
  Log log;
  log.rule = fail_writes_to(image.extent_of(9));
  REQUIRE(commit_with_faults(image.request(), log).marked);
  const Event* mark = nullptr;
  for (const Event& e : log.events())
    if (e.operation == Operation::write) mark = &e;
  REQUIRE(mark != nullptr);
  CHECK(mark->at == kSuperblockOffset);
  CHECK(mark->thread != std::this_thread::get_id());
  for (const Event& e : log.events())
    if (e.operation == Operation::write && e.queued) CHECK(e.thread == std::this_thread::get_id());
}

TEST_CASE("failed flush: the run fails though the next flush works, and the valid bit is never set",
          "[behaviour-17][behaviour-18]") {
  const size_t n = GENERATE(0u, 1u, 2u, 3u);  // armed; blocks; final without its valid bit; final
  TestImage image;
  image.stage({3, 9});
  Log log;
  log.rule = fail_flush(n);
  const auto report = commit_with_faults(image.request(), log);
  CHECK(report.outcome == CommitOutcome::errored);
  CHECK(report.error() == EIO);
  CHECK(report.failures() == 1);
  CHECK(report.marked);
  CHECK(report.armed == (n > 0));
  const auto sb = image.superblock_now();
  CHECK(sb.s_state == (2 | 4));
  CHECK(sb.s_first_error_block == 0);
  CHECK(image.superblock_is_sealed());
  // After the failed flush only the mark goes out.
  size_t flushes = 0, later_writes = 0;
  for (const Event& e : log.events()) {
    if (e.operation == Operation::flush) ++flushes;
    if (e.operation == Operation::write && flushes > n) ++later_writes;
  }
  CHECK(later_writes == 1);
}

TEST_CASE("last write of all fails: noticed, and marked", "[behaviour-19]") {
  TestImage image;
  image.stage({3, 9});
  Log good;
  REQUIRE(commit_with_faults(image.request(), good).outcome == CommitOutcome::committed);
  write_file(image.path(), image.original());

  Log log;
  const size_t last = good.count(Operation::write) - 1;
  const size_t stored = GENERATE(0u, 512u, 1024u);
  log.rule = [=](const Event& e) -> std::optional<Fault> {
    if (e.operation != Operation::write || e.index != last) return std::nullopt;
    return Fault{-EIO, stored};
  };
  const auto report = commit_with_faults(image.request(), log);
  CHECK(report.outcome == CommitOutcome::errored);
  CHECK(report.marked);
  CHECK(image.superblock_now().s_state == (2 | 4));
  CHECK(image.superblock_is_sealed());
}

TEST_CASE("superblock write in flight when it fails slowly: the mark lands last", "[behaviour-22]") {
  TestImage image;
  image.stage({3, 9});
  Log log;
  log.rule = [](const Event& e) -> std::optional<Fault> {
    // Every superblock write is slow, and those that would say "valid" fail after they have been stored.
    if (e.operation != Operation::write || e.queued) return std::nullopt;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    if ((load<ext2_super_block>(e.data).s_state & 1) == 0) return std::nullopt;
    return Fault{-EIO, kSuperblockSize};
  };
  CHECK(commit_with_faults(image.request(), log).marked);
  CHECK(image.superblock_now().s_state == (2 | 4));
}

TEST_CASE("device that lies about a write is found out by the read-back") {
  TestImage image({.block_size = GENERATE(1024u, 4096u)});
  image.stage({3, 9, 20});
  Log log;
  SECTION("a block") {
    log.rule = [&](const Event& e) -> std::optional<Fault> {
      if (!e.queued || !e.touches(image.extent_of(9))) return std::nullopt;
      return Fault{static_cast<int64_t>(e.length), 0};
    };
    const auto report = commit_with_faults(image.request(), log);
    CHECK(report.outcome == CommitOutcome::errored);
    CHECK(report.error_block() == BlockNo(9));
    CHECK(report.receipts[0].read_back);
    CHECK_FALSE(report.receipts[1].read_back);
    CHECK(image.superblock_now().s_state == (2 | 4));
  }
  SECTION("the armed superblock: no block goes out") {
    log.rule = [](const Event& e) -> std::optional<Fault> {
      if (e.operation != Operation::write || e.index != 0) return std::nullopt;
      return Fault{static_cast<int64_t>(e.length), 0};
    };
    const auto report = commit_with_faults(image.request(), log);
    CHECK(report.outcome == CommitOutcome::errored);
    CHECK_FALSE(report.armed);
    for (const Event& e : log.events()) CHECK_FALSE(e.queued);
  }
}

TEST_CASE("read-back that fails: errored and marked") {
  TestImage image;
  image.stage({3, 9, 20});
  Log log;
  log.rule = [&](const Event& e) -> std::optional<Fault> {
    if (e.operation != Operation::read || !e.touches(image.extent_of(9)) || log.count(Operation::write) == 0) return std::nullopt;
    return Fault{-EIO, 0};
  };
  const auto report = commit_with_faults(image.request(), log);
  CHECK(report.outcome == CommitOutcome::errored);
  CHECK(report.error_block() == BlockNo(9));
  CHECK(report.marked);
  CHECK(image.superblock_now().s_state == (2 | 4));
}

TEST_CASE("sparse image on a full file system: ENOSPC is found, named and marked", "[behaviour-30]") {
  if (::geteuid() != 0) {
    WARN("not root: no file system to fill, skipped");
    return;
  }
  TempDir dir;
  if (::mount("tmpfs", dir.path().c_str(), "tmpfs", 0, "size=2m") != 0) {
    WARN("cannot mount a tmpfs here: skipped");
    return;
  }
  const AtEnd unmount([&] { ::umount(dir.path().c_str()); });
  {
    TestImage image({.block_size = 4096, .blocks = 64}, dir.path());
    // Block 32 becomes a hole, and then the file system is full.
    std::vector<std::byte> zeros(4096);
    image.put_block(32, zeros);
    const int fd = ::open(image.path().c_str(), O_RDWR);
    REQUIRE(::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 32 * 4096, 4096) == 0);
    ::close(fd);
    {
      std::ofstream filler(image.path().parent_path() / "filler", std::ios::binary);
      const std::vector<char> page(4096);
      while (filler.write(page.data(), 4096).flush()) {
      }
    }
    image.stage({3, 32});
    const auto kind = generate_queue_kind(image.path());
    const auto lock = ImageLock::acquire(image.path());
    REQUIRE(lock);
    const auto report = commit(image.request(kind), *lock);
    CHECK(report.outcome == CommitOutcome::errored);
    CHECK(report.error() == ENOSPC);
    CHECK(report.error_block() == BlockNo(32));
    CHECK(report.marked);
    CHECK(image.superblock_now().s_first_error_errcode == 6);
    CHECK(image.superblock_now().s_state == (2 | 4));
  }
}

}  // namespace extscrub::test::wb
