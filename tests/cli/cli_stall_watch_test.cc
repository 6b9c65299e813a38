#include "cli/process/stall_watch.h"
#include "tests/support/catch.h"

#include <atomic>
#include <future>

namespace extscrub::test {

namespace {

using namespace std::chrono_literals;

struct Watched {
  std::promise<std::string> first, second;
  std::atomic<int> lines = 0;
  std::atomic<bool> stop = false;
  StallWatch watch{"disk.img", [this](const std::string& line) { (lines++ == 0 ? first : second).set_value(line); },
                   [this] { return stop.load(); }, 20ms};
};

std::string line_of(std::promise<std::string>& promise) {
  auto future = promise.get_future();
  REQUIRE(future.wait_for(10s) == std::future_status::ready);
  return future.get();
}

}  // namespace

TEST_CASE("a wait that does not end is told once, and again once the run is to stop") {
  Watched w;
  w.watch.begin_wait("a flush");
  const std::string line = line_of(w.first);
  CHECK_THAT(line, Catch::Contains("disk.img: a flush has not come back for") && Catch::Contains("a second one at once"));
  CHECK(w.lines == 1);
  w.stop = true;
  CHECK_THAT(line_of(w.second), Catch::Contains("one more SIGTERM"));
  w.watch.end_wait();
  CHECK(w.lines == 2);
}

TEST_CASE("waits that end in time are not worth a line, however many") {
  std::atomic<int> lines = 0;
  {
    StallWatch watch("disk.img", [&](const std::string&) { ++lines; }, [] { return true; }, 5s);
    for (int i = 0; i < 100; ++i) {
      watch.begin_wait("a write");
      watch.end_wait();
    }
  }
  CHECK(lines == 0);
}

}  // namespace extscrub::test
