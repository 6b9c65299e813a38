#include "tests/writeback/writeback_support.h"
#include "writeback/commit/async_writer.h"

namespace extscrub::test::wb {

namespace {

// Jobs of 4096 bytes filled with their number + 1; block b is job b.
struct Client final : WriteClient {
  void compose(size_t job, MutableBytes out) override { std::ranges::fill(out, std::byte(job + 1)); }
  void finished(size_t job, int error) override {
    if (error != 0) {
      CHECK(latch->set());  // whoever learns of the failure finds the latch set
      failed.push_back({job, error});
    } else {
      good.push_back(job);
    }
  }
  BlockNo block_at(size_t job, size_t) const override { return BlockNo(job); }
  bool cancelled() const override { return good.size() >= cancel_after; }

  const ErrorLatch* latch = nullptr;
  std::vector<size_t> good;
  std::vector<std::pair<size_t, int>> failed;
  size_t cancel_after = SIZE_MAX;
};

struct Bench {
  explicit Bench(QueueKind kind, unsigned depth = 4)
      : device(std::move(*open_write_device(image.path()))), queue(std::move(*make_queue(kind, *device, depth))),
        faulty(*queue, *device, log), writer(faulty, latch, device->alignment(), 4096) {
    client.latch = &latch;
    for (uint32_t i = 0; i < 16; ++i) jobs.push_back({uint64_t{i} * 4096, 4096});
  }
  bool run() { return writer.write(jobs, client); }
  std::vector<std::byte> block_now(size_t i) const {
    const auto all = image.now();
    return {all.begin() + static_cast<std::ptrdiff_t>(i * 4096), all.begin() + static_cast<std::ptrdiff_t>(i * 4096 + 4096)};
  }
  static std::vector<std::byte> block_of(size_t i) { return std::vector<std::byte>(4096, std::byte(i + 1)); }

  TestImage image;
  Log log;
  std::unique_ptr<WriteDevice> device;
  std::unique_ptr<WriteQueue> queue;
  FaultyQueue faulty;
  ErrorLatch latch;
  AsyncWriter writer;
  Client client;
  std::vector<WriteJob> jobs;
};

QueueKind kinds() {
  TestImage image;
  return generate_queue_kind(image.path());
}

// Job `job` completes as `fault` says, `times` times.
Rule fault_of(size_t job, Fault fault, size_t times = 1) {
  return [=, left = times](const Event& e) mutable -> std::optional<Fault> {
    if (e.at / 4096 != job || left == 0) return std::nullopt;
    --left;
    return fault;
  };
}

}  // namespace

TEST_CASE("all jobs are written, never more at a time than the queue is deep") {
  Bench bench(kinds());
  REQUIRE(bench.run());
  CHECK(bench.faulty.most_in_flight() == 4);
  CHECK(bench.client.good.size() == 16);
  for (size_t i = 0; i < 16; ++i) CHECK(bench.block_now(i) == Bench::block_of(i));
}

TEST_CASE("failed completion: the latch is set before it is told, nothing more is submitted", "[behaviour-3][behaviour-4]") {
  const unsigned depth = GENERATE(1u, 4u);
  Bench bench(kinds(), depth);
  bench.log.rule = fault_of(2, {-EIO, 0});
  bool latched = false;
  size_t after = 0;
  bench.log.rule = [&, rule = bench.log.rule](const Event& e) {
    latched = bench.latch.set();
    after += latched;
    return rule(e);
  };
  CHECK_FALSE(bench.run());
  CHECK(after == 0);
  CHECK(bench.log.count(Operation::write) <= 2 + depth);
  REQUIRE(bench.client.failed.size() == 1);
  CHECK(bench.client.failed[0] == std::pair<size_t, int>{2, EIO});
  const auto failures = bench.latch.summary();
  CHECK(failures.count == 1);
  CHECK(failures.first.error == EIO);
  CHECK(failures.first.block == BlockNo(2));
  // What was in flight has been waited for.
  CHECK(bench.client.good.size() + 1 == bench.log.count(Operation::write));
}

TEST_CASE("latch set before the first job: nothing is submitted", "[behaviour-4]") {
  Bench bench(kinds());
  bench.latch.record({EIO, CommitStep::arm, BlockNo(0)});
  CHECK_FALSE(bench.run());
  CHECK(bench.log.events().empty());
}

TEST_CASE("latch set: the rest of a short write is not submitted either") {
  Bench bench(kinds(), 2);
  // Both go out together; the failure is reaped first, the short one after it.
  bench.jobs.resize(2);
  bench.log.rule = [](const Event& e) -> std::optional<Fault> { return e.at == 0 ? Fault{-EIO, 0} : Fault{512, 512}; };
  CHECK_FALSE(bench.run());
  CHECK(bench.log.count(Operation::write) == 2);
  CHECK(bench.latch.summary().count == 1);
  REQUIRE(bench.client.failed.size() == 2);
  CHECK(bench.client.failed[1] == std::pair<size_t, int>{1, ECANCELED});
}

TEST_CASE("short completion: the rest is submitted again, the last job's too", "[behaviour-13]") {
  const size_t job = GENERATE(0, 7, 15);
  Bench bench(kinds());
  bench.faulty.broken_last = GENERATE(false, true);
  bench.log.rule = fault_of(job, {1024, 1024}, 2);
  REQUIRE(bench.run());
  CHECK(bench.block_now(job) == Bench::block_of(job));
  CHECK(bench.log.count(Operation::write) == 18);
  CHECK(bench.client.good.size() == 16);
}

TEST_CASE("short completion inside a sector: the rest begins on the sector") {
  Bench bench(kinds());
  if (bench.device->alignment() == 1) return;
  bench.log.rule = fault_of(3, {bench.device->alignment() + 100, bench.device->alignment() + 100});
  REQUIRE(bench.run());
  CHECK(bench.block_now(3) == Bench::block_of(3));
  for (const Event& e : bench.log.events()) CHECK(e.at % bench.device->alignment() == 0);
}

TEST_CASE("completion without progress is EIO", "[behaviour-13]") {
  Bench bench(kinds());
  bench.log.rule = fault_of(5, {0, 0});
  CHECK_FALSE(bench.run());
  CHECK(bench.latch.summary().first.error == EIO);
  CHECK(bench.latch.summary().first.block == BlockNo(5));
}

TEST_CASE("completion of more than was asked for is EIO") {
  Bench bench(kinds());
  bench.log.rule = fault_of(5, {8192, 4096});
  CHECK_FALSE(bench.run());
  CHECK(bench.latch.summary().first.error == EIO);
}

TEST_CASE("EAGAIN and EINTR are submitted again and are no errors", "[behaviour-14]") {
  const int error = GENERATE(EAGAIN, EINTR);
  Bench bench(kinds());
  bench.log.rule = fault_of(4, {-error, 0}, WriteProgress::kMaxRetries);
  REQUIRE(bench.run());
  CHECK_FALSE(bench.latch.set());
  CHECK(bench.block_now(4) == Bench::block_of(4));
}

TEST_CASE("EAGAIN and EINTR without end are errors in the end", "[behaviour-14]") {
  const int error = GENERATE(EAGAIN, EINTR);
  Bench bench(kinds());
  bench.log.rule = fault_of(4, {-error, 0}, SIZE_MAX);
  CHECK_FALSE(bench.run());
  CHECK(bench.latch.summary().first.error == error);
}

TEST_CASE("ECANCELED counts as not durable", "[behaviour-15]") {
  Bench bench(kinds());
  bench.log.rule = fault_of(4, {-ECANCELED, 0});
  CHECK_FALSE(bench.run());
  CHECK(bench.latch.summary().first.error == ECANCELED);
  CHECK(bench.client.failed.size() == 1);
}

TEST_CASE("cancelled: what is in hand is finished, nothing new begins") {
  Bench bench(kinds());
  bench.client.cancel_after = 3;
  CHECK_FALSE(bench.run());
  CHECK_FALSE(bench.latch.set());
  CHECK(bench.client.good.size() == bench.log.count(Operation::write));
  CHECK(bench.client.good.size() < 16);
}

TEST_CASE("queue that cannot be submitted to, or breaks, fails all it has") {
  struct Broken final : WriteQueue {
    QueueKind kind() const override { return QueueKind::threads; }
    unsigned depth() const override { return 4; }
    int submit(const WriteOp&) override { return submit_error; }
    Result<Completion> reap() override { return std::unexpected(system_error("broken", EBADF)); }
    int submit_error = 0;
  } queue;
  TestImage image;
  ErrorLatch latch;
  AsyncWriter writer(queue, latch, 512, 4096);
  Client client;
  client.latch = &latch;
  const std::vector<WriteJob> jobs(8, {0, 4096});
  SECTION("submission fails") {
    queue.submit_error = ENOMEM;
    CHECK_FALSE(writer.write(jobs, client));
    CHECK(latch.summary().first.error == ENOMEM);
    CHECK(client.failed.size() == 1);
  }
  SECTION("reaping fails") {
    CHECK_FALSE(writer.write(jobs, client));
    CHECK(latch.summary().first.error == EBADF);
    CHECK(client.failed.size() == 4);
  }
}

}  // namespace extscrub::test::wb
