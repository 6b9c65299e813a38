// Ranges read ahead of their turn come in order, each with its own bytes or its own error.
#include "tests/support/catch.h"
#include "writeback/device/read_ahead.h"

#include <atomic>
#include <cerrno>
#include <chrono>
#include <set>

namespace extscrub::test::wb {

namespace {

// Byte n has the value n / 512; every fifth read takes a while, so that reads end in another order than they begin.
class SlowDevice final : public WriteDevice {
 public:
  [[nodiscard]] uint64_t size() const override { return uint64_t{1} << 30; }
  [[nodiscard]] bool direct() const override { return true; }
  [[nodiscard]] uint32_t alignment() const override { return 512; }
  [[nodiscard]] int descriptor() const override { return -1; }
  ssize_t write(uint64_t, Bytes) override { return -EBADF; }
  ssize_t read(uint64_t at, MutableBytes out) override {
    if (++reads % 5 == 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
    if (at == 0 && failing-- > 0) return -EIO;
    const auto first_bad = bad.lower_bound(at);
    if (first_bad != bad.end() && *first_bad < at + out.size()) return -EIO;
    for (size_t i = 0; i < out.size(); ++i) out[i] = std::byte((at + i) / 512);
    return static_cast<ssize_t>(out.size());
  }
  int flush() override { return 0; }

  std::set<uint64_t> bad;
  std::atomic<int> failing = 0;  // how many reads of the first bytes
  std::atomic<int> reads = 0;
};

constexpr size_t kLongest = 8192;

// Ranges of one and two sectors, `apart` bytes from one to the next.
std::vector<Extent> extents(size_t count, uint64_t from = 0, uint64_t apart = 1024) {
  std::vector<Extent> list;
  for (size_t i = 0; i < count; ++i) list.push_back({from + i * apart, i % 3 == 0 ? uint64_t{512} : uint64_t{1024}});
  return list;
}

bool is_of(const ReadAhead::Part& part, Extent extent) {
  return part.error == 0 && part.extent.at == extent.at && part.bytes.size() == extent.length &&
         part.bytes.front() == std::byte(extent.at / 512) && part.bytes.back() == std::byte((extent.end() - 1) / 512);
}

}  // namespace

TEST_CASE("ranges come in order, few or many; those that lie close together are one read") {
  const uint64_t apart = GENERATE(uint64_t{1024}, uint64_t{100} << 10);
  for (const size_t count : {1u, 3u, 4u, 31u, 32u, 33u, 500u}) {
    INFO(count << " ranges, " << apart << " bytes apart");
    SlowDevice device;
    const auto list = extents(count, 0, apart);
    ReadAhead reads(device, kLongest, count);
    reads.begin(list);
    for (const Extent& extent : list) REQUIRE(is_of(reads.next(), extent));
    const size_t together = apart == 1024 ? 8 : 1;
    CHECK(device.reads == static_cast<int>((count + together - 1) / together));
  }
}

TEST_CASE("a range that cannot be read gives its own error, and the others their bytes") {
  SlowDevice device;
  const auto list = extents(100);
  for (const size_t i : {0u, 41u, 99u}) device.bad.insert(list[i].at);
  ReadAhead reads(device, kLongest, list.size());
  reads.begin(list);
  for (size_t i = 0; i < list.size(); ++i) {
    const auto part = reads.next();
    INFO("range " << i);
    if (i == 0 || i == 41 || i == 99)
      CHECK(part.error == EIO);
    else
      CHECK(is_of(part, list[i]));
  }
}

TEST_CASE("a list that is given up in the middle leaves nothing to the next one") {
  SlowDevice device;
  ReadAhead reads(device, kLongest, 60);
  for (uint64_t round = 0; round < 20; ++round) {
    const auto list = extents(60, round * 100 * 1024);
    reads.begin(list);
    for (size_t i = 0; i < round * 3; ++i) REQUIRE(is_of(reads.next(), list[i]));
  }
}

TEST_CASE("what cannot be read once is an error although it can be read again, unless the fault lies between the ranges") {
  const size_t count = GENERATE(size_t{1}, size_t{3}, size_t{40});
  SlowDevice device;
  const auto list = extents(count, 0, 2048);
  device.failing = 1;  // the first read, of several ranges at once
  ReadAhead reads(device, kLongest, count);
  reads.begin(list);
  CHECK(reads.next().error == EIO);

  SlowDevice with_gap;
  with_gap.bad.insert(1536);
  ReadAhead others(with_gap, kLongest, count);
  others.begin(list);
  for (const Extent& extent : list) CHECK(is_of(others.next(), extent));
}

}  // namespace extscrub::test::wb
