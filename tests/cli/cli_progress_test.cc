#include <thread>

#include "cli/process/progress.h"
#include "cli/text/units.h"
#include "tests/cli/cli_support.h"
#include "tests/support/catch.h"

using namespace extscrub;
using namespace extscrub::test;
using namespace std::chrono_literals;

namespace {

// A progress whose time goes on when the test says so.
struct Shown {
  Tool tool;
  ConsoleProgress::Clock::time_point time{};
  ConsoleProgress progress;

  explicit Shown(bool terminal, bool shown = true) : progress(on(terminal), shown, [this] { return time; }) {}

  const Environment& on(bool terminal) {
    tool.environment.err_is_terminal = terminal;
    return tool.environment;
  }
};

}  // namespace

TEST_CASE("progress on a terminal tells phase, percent, rate and time left in one line") {
  Shown s(true);
  s.progress.image("/images/disk.img");
  s.progress.phase("inodes", 100 << 20);
  s.time += 10s;
  s.progress.advance(25 << 20);
  CHECK(s.tool.said() == "\r\x1b[Kdisk.img: inodes  25 %  2.5 MiB/s  0:30 left");
  s.progress.finish();
  CHECK(s.tool.said().ends_with("\r\x1b[K"));
}

TEST_CASE("progress is drawn at most ten times a second") {
  Shown s(true);
  s.progress.phase("inodes", 1000);
  for (int i = 0; i < 1000; ++i) {
    s.time += 1ms;
    s.progress.advance(1);
  }
  const std::string said = s.tool.said();
  CHECK(std::ranges::count(said, '\r') == 10);
}

TEST_CASE("progress that is not shown prints nothing but still tells of the signal") {
  Shown s(true, false);
  s.progress.phase("inodes", 10);
  s.time += 10s;
  s.progress.advance(10);
  s.progress.finish();
  CHECK(s.tool.said().empty());
  CHECK_FALSE(s.progress.cancelled());
  s.tool.stop = true;
  CHECK(s.progress.cancelled());
}

TEST_CASE("progress in a log is whole lines without control characters") {
  Shown s(false);
  s.progress.image("disk.img");
  s.progress.phase("inodes", 100);
  s.time += 1s;
  s.progress.advance(100);
  CHECK(s.tool.said().empty());
  s.progress.phase("owners", 0);
  s.progress.finish();
  CHECK(s.tool.said() == "disk.img: inodes  100 %  100 B/s\ndisk.img: owners\n");
}

TEST_CASE("a phase that is worked on by many threads is counted in full") {
  Shown s(false);
  s.progress.phase("inodes", 400000);
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&] {
        for (int i = 0; i < 100000; ++i) s.progress.advance(1);
      });
  }
  s.progress.finish();
  CHECK(s.tool.said("100 %"));
}

TEST_CASE("progress never when standard error is no terminal, unless asked for") {
  const TempDir directory;
  const auto image = write_ext_like(directory.path() / "disk.img");
  Tool tool;
  tool.environment.engine.audit = [](const Image&, Overlay*, const AuditOptions& options) {
    options.progress->phase("inodes", 100);
    options.progress->advance(100);
    return audit_with(Verdict::clean);
  };
  CHECK(tool({"audit", image}) == 0);
  CHECK(tool.said().empty());
  CHECK(tool({"audit", "--progress=always", image}) == 0);
  CHECK(tool.said("disk.img: inodes  100 %"));
  CHECK_FALSE(tool.said("\r"));
  CHECK_FALSE(tool.printed("inodes"));
}

TEST_CASE("amounts and times are told in the largest fitting unit") {
  CHECK(human_bytes(0) == "0 B");
  CHECK(human_bytes(1023) == "1023 B");
  CHECK(human_bytes(1536) == "1.5 KiB");
  CHECK(human_bytes(UINT64_MAX) == "16.0 EiB");
  CHECK(human_rate(1 << 20, 2s) == "512.0 KiB/s");
  CHECK(human_rate(1, 0s) == "0 B/s");
  CHECK(human_duration(9s) == "0:09");
  CHECK(human_duration(3723s) == "1:02:03");
  CHECK(human_duration(std::chrono::duration<double>(1e30)) == "over 99 h");
}
