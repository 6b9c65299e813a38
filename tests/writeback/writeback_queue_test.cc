
#include <cstdlib>

#include "tests/support/forbid_io_uring.h"
#include "tests/writeback/writeback_support.h"
#include "writeback/device/write_queue.h"

namespace extscrub::test::wb {

TEST_CASE("queue writes buffers and gives every completion back with its tag") {
  TestImage image;
  const QueueKind kind = generate_queue_kind(image.path());
  const auto device = open_write_device(image.path());
  const auto queue = make_queue(kind, **device, 4);
  REQUIRE(queue);
  CHECK((*queue)->kind() == kind);

  std::vector<AlignedBuffer> buffers;
  auto expected = image.original();
  for (size_t i = 0; i < 4; ++i) {
    buffers.emplace_back(4096);
    std::ranges::fill(buffers[i].bytes(), std::byte(i + 1));
    std::ranges::fill_n(expected.begin() + static_cast<std::ptrdiff_t>(i * 8192), 4096, std::byte(i + 1));
    REQUIRE((*queue)->submit({i * 8192, buffers[i].bytes(), 100 + i}) == 0);
  }
  uint64_t tags = 0;
  for (size_t i = 0; i < 4; ++i) {
    const auto completion = (*queue)->reap();
    REQUIRE(completion);
    CHECK(completion->result == 4096);
    tags += completion->tag;
  }
  CHECK(tags == 100 + 101 + 102 + 103);
  CHECK(image.now() == expected);
}

TEST_CASE("queue gives the device's own error as the completion") {
  const int fd = ::open("/dev/full", O_RDWR);
  REQUIRE(fd >= 0);
  // A device that has no space, without root: the descriptor of /dev/full behind the interface.
  struct Full final : WriteDevice {
    explicit Full(int fd) : fd_(fd) {}
    uint64_t size() const override { return 1 << 20; }
    bool direct() const override { return false; }
    uint32_t alignment() const override { return 1; }
    int descriptor() const override { return fd_; }
    ssize_t write(uint64_t at, Bytes b) override {
      const ssize_t n = ::pwrite(fd_, b.data(), b.size(), static_cast<off_t>(at));
      return n < 0 ? -errno : n;
    }
    ssize_t read(uint64_t, MutableBytes) override { return -EIO; }
    int flush() override { return 0; }
    int fd_;
  } device(fd);
  const QueueKind kind = GENERATE(QueueKind::io_uring, QueueKind::threads);
  if (const auto queue = make_queue(kind, device, 2)) {
    AlignedBuffer buffer(512);
    REQUIRE((*queue)->submit({0, buffer.bytes(), 1}) == 0);
    const auto completion = (*queue)->reap();
    REQUIRE(completion);
    CHECK(completion->result == -ENOSPC);
  }
  ::close(fd);
}

TEST_CASE("queue is destroyed with writes in flight: they are waited for, nothing hangs") {
  TestImage image;
  const QueueKind kind = generate_queue_kind(image.path());
  const auto device = open_write_device(image.path());
  AlignedBuffer buffer(4096);
  std::ranges::fill(buffer.bytes(), std::byte{});
  auto queue = make_queue(kind, **device, 4);
  REQUIRE(queue);
  REQUIRE((*queue)->submit({0, buffer.bytes(), 0}) == 0);
  queue->reset();
}

TEST_CASE("io_uring forbidden by seccomp: the thread queue commits the same", "[behaviour-20]") {
  TestImage image;
  image.stage({3, 4, 9});
  const auto status = run_without_io_uring([&] {
    const auto device = open_write_device(image.path());
    if (!device) return 1;
    const auto forced = make_queue(QueueKind::io_uring, **device);
    if (forced || forced.error().code != EPERM) return 2;
    const auto lock = ImageLock::acquire(image.path());
    if (!lock) return 3;
    if (commit(image.request(QueueKind::io_uring), *lock).outcome != CommitOutcome::refused) return 4;
    if (image.now() != image.original()) return 5;
    const CommitReport report = commit(image.request(), *lock);
    return report.outcome == CommitOutcome::committed && report.queue == QueueKind::threads ? 0 : 6;
  });
  if (!status) return;
  CHECK(*status == 0);
  CHECK(image.now() == image.repaired());
}

TEST_CASE("without O_DIRECT the automatic queue is threads") {
  TestImage image;
  const auto device = open_write_device(image.path());
  REQUIRE(device);
  struct Cached final : WriteDevice {
    explicit Cached(WriteDevice& d) : d_(d) {}
    uint64_t size() const override { return d_.size(); }
    bool direct() const override { return false; }
    uint32_t alignment() const override { return 1; }
    int descriptor() const override { return d_.descriptor(); }
    ssize_t write(uint64_t at, Bytes b) override { return d_.write(at, b); }
    ssize_t read(uint64_t at, MutableBytes out) override { return d_.read(at, out); }
    int flush() override { return d_.flush(); }
    WriteDevice& d_;
  } cached(**device);
  const auto queue = make_queue(QueueKind::automatic, cached);
  REQUIRE(queue);
  CHECK((*queue)->kind() == QueueKind::threads);
  image.stage({1, 2, 3});
  CHECK(commit_on(image.request(), cached, **queue).outcome == CommitOutcome::committed);
  CHECK(image.now() == image.repaired());
}

}  // namespace extscrub::test::wb
