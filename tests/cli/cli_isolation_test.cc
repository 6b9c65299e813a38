// Images that crash, hang or fill the memory of the process that does them: the others are done, and the report says so.
#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "cli/isolation/report_channel.h"
#include "cli/sandbox/sandbox.h"
#include "cli/sandbox/sanitized.h"
#include "tests/cli/cli_support.h"
#include "tests/support/catch.h"

using namespace extscrub;
using namespace extscrub::test;
namespace fs = std::filesystem;

namespace {

[[noreturn]] void end_by(int signal) {
  (void)std::signal(signal, SIG_DFL);  // the test's own handler would speak up
  (void)std::raise(signal);
  std::abort();
}

// Three images, of which the second is done by `bad`.
struct Three {
  TempDir directory;
  Tool tool;
  std::vector<std::string> images;

  explicit Three(const std::function<void(const AuditOptions&)>& bad) {
    for (const char* name : {"a.img", "b.img", "c.img"}) images.push_back(write_ext_like(directory.path() / name));
    tool.environment.isolate = true;
    tool.environment.engine.audit = [bad, where = images[1]](const Image& image, Overlay*,
                                                             const AuditOptions& options) -> Result<Audit> {
      if (image.path() != where) return audit_with(Verdict::clean);  // however slow the machine is
      bad(options);
      if (options.progress->cancelled()) return std::unexpected(Error::cancelled());
      return audit_with(Verdict::clean);
    };
  }
  int audit(std::vector<std::string> options = {}) {
    options.insert(options.begin(), "audit");
    options.insert(options.end(), images.begin(), images.end());
    return tool(options);
  }
  [[nodiscard]] std::string verdicts(const std::string& second) const {
    return images[0] + ": clean\n" + images[1] + ": " + second + "\n" + images[2] + ": clean\n";
  }
};

// What a hostile process would write is fed to the run.
struct Fed : ReportSink {
  void begin(size_t, size_t, const ImageReport&) override { ++begun; }
  void writing(const fs::path&) override {}
  void add(ImageReport) override { ++reports; }
  void close_failed(const Error&) override {}
  int begun = 0, reports = 0;
};

std::string frame(FrameKind kind, std::string_view bytes) {
  const uint64_t size = bytes.size();
  return static_cast<char>(kind) + std::string(reinterpret_cast<const char*>(&size), sizeof size) + std::string(bytes);
}

std::string begin_frame(uint64_t index, uint64_t count) {
  std::string bytes(reinterpret_cast<const char*>(&index), sizeof index);
  bytes.append(reinterpret_cast<const char*>(&count), sizeof count);
  return frame(FrameKind::begin, bytes + to_bytes({}));
}

bool is_taken(const std::vector<std::string>& frames, uint64_t budget = 1 << 20) {
  std::ostringstream text;
  Fed sink;
  ChannelReader reader(text, sink, 0, budget);
  return std::ranges::all_of(frames, [&](const std::string& bytes) { return reader.feed(bytes); });
}

}  // namespace

TEST_CASE("an image that ends its process by a signal is unreadable, and the others are done") {
  Three three([](const AuditOptions&) { end_by(SIGSEGV); });
  CHECK(three.audit() == 8);
  CHECK(three.tool.printed() == three.verdicts("unreadable"));
  CHECK(three.tool.said("ended by signal 11 (SIGSEGV) while it was audited; the image may be hostile: please report it"));
}

TEST_CASE("an image whose process ends without a report is unreadable") {
  Three three([](const AuditOptions&) { ::_exit(0); });
  CHECK(three.audit() == 8);
  CHECK(three.tool.printed() == three.verdicts("unreadable"));
  CHECK(three.tool.said("its process ended with status 0 while it was audited"));
}

TEST_CASE("without --isolate an image is done in the process of the run") {
  pid_t seen = 0;
  Three three([&](const AuditOptions&) { seen = ::getpid(); });
  CHECK(three.audit({"--no-isolate"}) == 0);
  CHECK(seen == ::getpid());
  seen = 0;
  CHECK(three.audit({"--isolate"}) == 0);
  CHECK(seen == 0);
}

TEST_CASE("an image that takes longer than --timeout is cancelled, in either kind of process") {
  Three three([](const AuditOptions& options) {
    while (!options.progress->cancelled()) std::this_thread::yield();
  });
  for (const char* where : {"--isolate", "--no-isolate"}) {
    CHECK(three.audit({"--timeout", "50ms", where}) == 8);
    CHECK(three.tool.printed() == three.verdicts("unreadable"));
    CHECK(three.tool.said("was not done within the 50 ms of --timeout; nothing was written"));
  }
}

TEST_CASE("a process that does not listen is killed behind --timeout") {
  Three three([](const AuditOptions&) {
    for (;;) ::pause();
  });
  CHECK(three.audit({"--timeout", "150ms"}) == 8);
  CHECK(three.tool.printed() == three.verdicts("unreadable"));
  CHECK(three.tool.said("was not done within the 150 ms of --timeout, and its process had to be killed"));
}

TEST_CASE("an image whose process would take more than --max-memory is unreadable") {
  if (kSanitized) return;  // sanitizers have their own ideas of memory
  Three three([](const AuditOptions&) { std::vector<char> much(size_t{256} << 20, 'x'); });
  CHECK(three.audit({"--max-memory", "128M"}) == 8);
  CHECK(three.tool.printed() == three.verdicts("unreadable"));
  CHECK(three.tool.said("there is not enough memory for this image"));
}

TEST_CASE("a stop of the run reaches the process of the image") {
  Three three([](const AuditOptions& options) {
    while (!options.progress->cancelled()) std::this_thread::yield();
  });
  std::thread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    three.tool.stop = true;
  });
  CHECK(three.audit() == 32);
  other.join();
  CHECK(three.tool.said("of 3 images were not looked at"));
}

TEST_CASE("an audit's process can open nothing but its image") {
  Three three([](const AuditOptions&) {
    if (::open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0) ::_exit(1);
    if (::open("/tmp/extscrub-isolation-test", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0) ::_exit(2);
  });
  const bool has_landlock = Sandbox({.read = {"/"}}).missing().empty();
  CHECK(three.audit() == (has_landlock ? 0 : 8));
}

TEST_CASE("a scrub that crashes before it writes says so, and one that crashes in the middle is errored") {
  Three three([](const AuditOptions&) {});
  three.images.resize(1);
  Engine& engine = three.tool.environment.engine;
  engine.plan_repairs = [](const Image&, RepairPolicy, const AuditOptions&) -> Result<RepairPlan> { end_by(SIGBUS); };
  CHECK(three.tool({"scrub", three.images[0]}) == 8);
  CHECK(three.tool.printed() == three.images[0] + ": unreadable\n");
  CHECK(three.tool.said("ended by signal 7 (SIGBUS) while its repairs were prepared; nothing was written"));

  engine.plan_repairs = [](const Image& image, RepairPolicy, const AuditOptions&) -> Result<RepairPlan> {
    RepairPlan plan;
    plan.overlay.emplace(image, 1024);
    auto block = plan.overlay->edit(BlockNo(3));
    if (block) (*block)[0] = std::byte{1};
    return plan;
  };
  engine.commit = [](const CommitRequest& request, const ImageLock&) -> CommitReport {
    write_file(request.undo->path, "log");
    end_by(SIGKILL);
  };
  const std::string undo = three.directory.path() / "undo";
  CHECK(three.tool({"scrub", "--undo-file", undo, three.images[0]}) == 8);
  CHECK(three.tool.printed() == three.images[0] + ": errored\n");
  CHECK(three.tool.said("while repairs were written: it may be half written, and then says \"not clean\""));
  CHECK(three.tool.said("`extscrub undo " + undo + " " + three.images[0] + "`"));
}

TEST_CASE("what a process says on standard error reaches the run's") {
  Three three([](const AuditOptions& options) {
    options.progress->phase("inodes", 100);
    options.progress->advance(50);
  });
  CHECK(three.audit({"--progress", "always"}) == 0);
  CHECK(three.tool.said("b.img: inodes"));
}

TEST_CASE("frames that make no sense are refused") {
  const std::string report = frame(FrameKind::report, to_bytes({})), end = frame(FrameKind::end, {});
  CHECK(is_taken({begin_frame(0, 2), report, begin_frame(1, 2), report, end}));
  CHECK_FALSE(is_taken({report}));                                     // of nothing
  CHECK_FALSE(is_taken({begin_frame(0, 1), report, report}));          // twice
  CHECK_FALSE(is_taken({begin_frame(0, 2), begin_frame(1, 2)}));       // without a report between them
  CHECK_FALSE(is_taken({begin_frame(1, 2)}));                          // out of order
  CHECK_FALSE(is_taken({begin_frame(0, 1), report, begin_frame(1, 2)}));
  CHECK_FALSE(is_taken({begin_frame(0, uint64_t{1} << 40)}));          // too many targets
  CHECK_FALSE(is_taken({begin_frame(0, 2), report, end}));             // one is missing
  CHECK_FALSE(is_taken({begin_frame(0, 1), report, end, report}));     // behind the end
  CHECK_FALSE(is_taken({frame(FrameKind::writing, "undo")}));
  CHECK_FALSE(is_taken({frame(static_cast<FrameKind>('x'), "")}));
  CHECK_FALSE(is_taken({std::string("t\xff\xff\xff\xff\xff\xff\xff\x7f", 9)}));  // a length that nobody has
  ImageReport large;
  large.error = Error{std::string(1000, 'x')};
  CHECK_FALSE(is_taken({begin_frame(0, 1), frame(FrameKind::report, to_bytes(large))}, 999));
}
