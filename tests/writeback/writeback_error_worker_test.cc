#include <future>

#include "tests/writeback/writeback_support.h"
#include "writeback/mark/error_worker.h"

namespace extscrub::test::wb {

TEST_CASE("whoever is woken by a failure finds the latch set", "[behaviour-3]") {
  for (int round = 0; round < 200; ++round) {
    ErrorLatch latch;
    std::atomic<bool> there = false;
    auto waiter = std::async(std::launch::async, [&] {
      there = true;
      latch.wait();
      return latch.set() && latch.summary().first.error == EIO;
    });
    while (!there) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::microseconds(50));
    latch.record({EIO, CommitStep::write, BlockNo(1)});
    REQUIRE(waiter.get());
  }
}

TEST_CASE("ten failures before the worker runs: one mark, count ten, first and last named", "[behaviour-5]") {
  ErrorLatch latch;
  std::vector<FailureSummary> marks;
  ErrorWorker worker(latch, [&](const FailureSummary& s) { marks.push_back(s); });
  for (int i = 0; i < 10; ++i) latch.record({i == 0 ? ENOSPC : EIO, CommitStep::write, BlockNo(100 + static_cast<uint64_t>(i))});
  worker.settle();
  worker.settle();
  REQUIRE(marks.size() == 1);
  CHECK(marks[0].count == 10);
  CHECK(marks[0].first.error == ENOSPC);
  CHECK(marks[0].first.block == BlockNo(100));
  CHECK(marks[0].last.error == EIO);
  CHECK(marks[0].last.block == BlockNo(109));
}

TEST_CASE("failures of many threads at once are all counted") {
  ErrorLatch latch;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&] {
        for (int i = 0; i < 1000; ++i) latch.record({EIO, CommitStep::write, BlockNo(7)});
      });
  }
  CHECK(latch.summary().count == 4000);
}

TEST_CASE("mark is not written by the one who fails, and not before what is in flight is over", "[behaviour-6]") {
  ErrorLatch latch;
  std::atomic<bool> superblock_in_flight = true, marked = false, overtook = false;
  std::thread::id marker;
  ErrorWorker worker(latch, [&](const FailureSummary&) {
    overtook = superblock_in_flight.load();
    marker = std::this_thread::get_id();
    marked = true;
  });
  latch.record({EIO, CommitStep::write, BlockNo(1)});
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  CHECK_FALSE(marked);
  superblock_in_flight = false;
  worker.settle();
  CHECK(marked);
  CHECK_FALSE(overtook);
  CHECK(marker != std::this_thread::get_id());
}

TEST_CASE("failure of the very last completion is marked: the worker outlives it") {
  ErrorLatch latch;
  int marks = 0;
  {
    ErrorWorker worker(latch, [&](const FailureSummary&) { ++marks; });
    latch.record({EIO, CommitStep::finish, BlockNo(0)});
    // Nobody settles: the destructor has to.
  }
  CHECK(marks == 1);
}

TEST_CASE("no failure, no mark") {
  ErrorLatch latch;
  int marks = 0;
  {
    ErrorWorker worker(latch, [&](const FailureSummary&) { ++marks; });
  }
  CHECK(marks == 0);
}

TEST_CASE("failure without a block, and one at the highest block, come out as they went in") {
  ErrorLatch latch;
  latch.record({EIO, CommitStep::flush, std::nullopt});
  latch.record({ENOTSUP, CommitStep::finish, BlockNo((uint64_t{1} << 48) - 1)});
  const auto s = latch.summary();
  CHECK_FALSE(s.first.block);
  CHECK(s.first.step == CommitStep::flush);
  CHECK(s.last.block == BlockNo((uint64_t{1} << 48) - 1));
  CHECK(s.last.step == CommitStep::finish);
  CHECK(s.last.error == ENOTSUP);
}

}  // namespace extscrub::test::wb
