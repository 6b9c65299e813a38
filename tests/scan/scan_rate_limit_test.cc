#include <thread>

#include "scan/image/image.h"
#include "tests/cli/cli_support.h"
#include "tests/support/catch.h"

using namespace extscrub;
using namespace extscrub::test;
using namespace std::chrono_literals;

namespace {

constexpr uint64_t kRate = 1 << 20;

template <class Work>
RateLimit::Clock::duration time_of(Work&& work) {
  const auto began = RateLimit::Clock::now();
  work();
  return RateLimit::Clock::now() - began;
}

}  // namespace

TEST_CASE("what was taken before has to be paid for, and nothing else") {
  RateLimit limit(kRate);
  CHECK(time_of([&] { limit.take(kRate / 4); }) < 100ms);
  CHECK(time_of([&] { limit.take(1); }) >= 200ms);
}

TEST_CASE("threads share a limit") {
  RateLimit limit(kRate);
  const auto reader = [&] {
    for (int i = 0; i < 4; ++i) limit.take(kRate / 16);
  };
  CHECK(time_of([&] {
          std::jthread other(reader);
          reader();
        }) >= 7 * 1000ms / 16 - 20ms);
}

TEST_CASE("a stop ends the waiting") {
  std::atomic<bool> stop{false};
  RateLimit limit(1, &stop);
  limit.take(5);
  stop = true;
  CHECK(time_of([&] { limit.take(5); }) < 1s);
}

TEST_CASE("an image is read no faster than its limit") {
  TempDir directory;
  auto image = Image::open(write_file(directory.path() / "image", std::string(256 << 10, 'x')));
  REQUIRE(image);
  image->limit_rate(std::make_shared<RateLimit>(kRate));
  std::vector<std::byte> bytes(64 << 10);
  CHECK(time_of([&] {
          for (uint64_t at = 0; at < 256 << 10; at += bytes.size()) {
            image->prefetch(at, bytes.size());
            REQUIRE(image->read(at, bytes));
          }
        }) >= 180ms);
  CHECK(bytes.front() == std::byte{'x'});
}
