#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <functional>
#include <thread>

#include "cli/disk/helper_program.h"
#include "tests/cli/cli_support.h"
#include "tests/support/catch.h"

using namespace extscrub;
using namespace extscrub::test;
using namespace std::chrono_literals;

namespace {

constexpr auto kLong = 60s;  // longer than anything takes here; what is waited for is over much sooner

HelperProgram shell(const std::string& script) {
  auto program = HelperProgram::start({"sh", "-c", script}, "dash");
  REQUIRE(program);
  return std::move(*program);
}

bool until(const std::function<bool()>& done) {
  const auto end = std::chrono::steady_clock::now() + kLong;
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(5ms);
  }
  return true;
}

// Neither there nor a zombie that nobody has collected.
bool is_alive(pid_t pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string id, name, state;
  return (stat >> id >> name >> state) && state != "Z" && state != "X";
}

class IgnoredSignals {
 public:
  IgnoredSignals() {
    for (size_t i = 0; i < std::size(kSignals); ++i) old_[i] = ::signal(kSignals[i], SIG_IGN);
    sigset_t term;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    ::sigprocmask(SIG_BLOCK, &term, &mask_);
  }
  ~IgnoredSignals() {
    ::sigprocmask(SIG_SETMASK, &mask_, nullptr);
    for (size_t i = 0; i < std::size(kSignals); ++i) ::signal(kSignals[i], old_[i]);
  }

 private:
  static constexpr int kSignals[] = {SIGINT, SIGPIPE, SIGCHLD, SIGHUP};
  void (*old_[std::size(kSignals)])(int);
  sigset_t mask_;
};

class ClosedInput {
 public:
  ClosedInput() : kept_(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10)) { ::close(STDIN_FILENO); }
  ~ClosedInput() {
    if (kept_ < 0) return;
    ::dup2(kept_, STDIN_FILENO);
    ::close(kept_);
  }

 private:
  int kept_;
};

class Path {
 public:
  explicit Path(const std::string& value) {
    if (const char* old = ::getenv("PATH")) old_ = old;
    ::setenv("PATH", value.c_str(), 1);
  }
  ~Path() { old_ ? ::setenv("PATH", old_->c_str(), 1) : ::unsetenv("PATH"); }

 private:
  std::optional<std::string> old_;
};

}  // namespace

TEST_CASE("a helper program that ends tells how", "[helper]") {
  const auto [script, failure] = GENERATE(table<std::string, std::string>({{"exit 0", ""},
                                                                           {"exit 3", "sh ended with exit status 3"},
                                                                           {"kill -KILL $$", "sh was ended by signal 9"},
                                                                           {"kill -TERM $$", "sh was ended by signal 15"}}));
  HelperProgram program = shell(script);
  REQUIRE(program.wait(kLong));
  CHECK_FALSE(program.is_running());
  CHECK(program.failure() == failure);
}

TEST_CASE("what a helper program says is one line, cut when it is long", "[helper]") {
  HelperProgram program = shell("echo not shown; echo one >&2; echo two >&2");
  REQUIRE(program.wait(kLong));
  CHECK(program.messages() == "one; two");
  CHECK(program.messages() == "one; two");
}

TEST_CASE("a helper program that says more than anybody reads is not held up by that", "[helper]") {
  HelperProgram program =
      shell("i=0; while [ $i -lt 3000 ]; do echo 'it does not work, it does not work' >&2; i=$((i + 1)); done; exit 4");
  REQUIRE(program.wait(kLong));
  CHECK(program.failure() == "sh ended with exit status 4");
  const std::string said = program.messages();
  CHECK(said.starts_with("it does not work, it does not work; it does"));
  CHECK(said.size() <= 2 * 4096);
}

TEST_CASE("a wait is over when its time is", "[helper]") {
  HelperProgram program = shell("sleep 300");
  CHECK_FALSE(program.wait(20ms));
  CHECK(program.is_running());
}

TEST_CASE("a helper program is told to end, and ends", "[helper]") {
  HelperProgram program = shell("exec sleep 300");
  program.end(kLong);
  CHECK_FALSE(program.is_running());
  CHECK(program.failure(true).empty());
  CHECK_FALSE(program.failure().empty());
}

TEST_CASE("a helper program that does not end when it is told to is killed, with its children", "[helper]") {
  HelperProgram program = shell("trap '' TERM; sleep 300 & echo $! >&2; while :; do wait; done");
  REQUIRE(until([&] { return !program.messages().empty(); }));
  const pid_t child = std::stoi(program.messages());
  program.end(20ms);
  CHECK(program.failure(true) == "sh was ended by signal 9");
  CHECK(until([&] { return !is_alive(child); }));
}

TEST_CASE("a helper program goes with its object", "[helper]") {
  pid_t pid = 0;
  {
    const HelperProgram program = shell("exec sleep 300");
    pid = program.pid();
    CHECK(is_alive(pid));
    CHECK(::getpgid(pid) == pid);  // a Ctrl-C is for us alone
  }
  CHECK_FALSE(is_alive(pid));
}

// Starts it in a process that is then killed: its number.
pid_t orphaned(const std::vector<std::string>& arguments) {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const auto program = HelperProgram::start(arguments, "coreutils");
    const pid_t pid = program ? program->pid() : 0;
    std::this_thread::sleep_for(100ms);
    (void)!::write(ends[1], &pid, sizeof pid);
    ::kill(::getpid(), SIGKILL);
  }
  ::close(ends[1]);
  pid_t pid = 0;
  REQUIRE(::read(ends[0], &pid, sizeof pid) == sizeof pid);
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  REQUIRE(pid > 0);
  return pid;
}

TEST_CASE("a helper program ends with a process that is killed", "[helper]") {
  const pid_t pid = orphaned({"sleep", "300"});
  CHECK(until([&] { return !is_alive(pid); }));
}

TEST_CASE("a helper program that drops what it is told at first ends too with a process that is killed", "[helper]") {
  const pid_t pid = orphaned({"sh", "-c", "trap 'told=x$told; [ $told != xxx ] || exit' TERM; while :; do sleep 0.02; done"});
  const bool ended = until([&] { return !is_alive(pid); });
  CHECK(ended);
  if (!ended) ::kill(pid, SIGKILL);
}

TEST_CASE("signals that we ignore or block are as for a new process in a helper program", "[helper]") {
  const IgnoredSignals ignored;
  for (const std::string signal : {"INT", "PIPE", "HUP", "TERM"}) {
    INFO(signal);
    HelperProgram program = shell("kill -" + signal + " $$; exit 0");
    REQUIRE(program.wait(kLong));
    CHECK(program.failure().starts_with("sh was ended by signal "));
  }
  HelperProgram program = shell("exit 5");
  REQUIRE(program.wait(kLong));
  CHECK(program.failure() == "sh ended with exit status 5");
}

TEST_CASE("a helper program has an empty input, also where we have none", "[helper]") {
  const ClosedInput closed;
  HelperProgram program = shell("read word || echo nothing >&2; [ -e /proc/self/fd/0 ] || exit 1");
  REQUIRE(program.wait(kLong));
  CHECK(program.failure().empty());
  CHECK(program.messages() == "nothing");
}

TEST_CASE("a helper program has no descriptor of ours", "[helper]") {
  const int ours = ::fcntl(::open("/dev/null", O_RDONLY), F_DUPFD, 77);
  REQUIRE(ours >= 77);
  HelperProgram program = shell("[ ! -e /proc/$$/fd/" + std::to_string(ours) + " ]");
  ::close(ours);
  REQUIRE(program.wait(kLong));
  CHECK(program.failure().empty());
}

TEST_CASE("a helper program that is not here is named, and its package", "[helper]") {
  const auto program = HelperProgram::start({"extscrub-no-such-helper", "--help"}, "some-package");
  REQUIRE_FALSE(program);
  CHECK(program.error().code == ENOENT);
  CHECK(text_of(program.error()) == "needs the program extscrub-no-such-helper, which is not here: install some-package");
}

TEST_CASE("a helper program that cannot be started says why", "[helper]") {
  const TempDir dir;
  const auto file = write_file(dir.path() / "extscrub-helper", "#!/no/such/interpreter\n");
  std::filesystem::permissions(file, std::filesystem::perms::owner_all);
  const Path path(dir.path());
  const auto program = HelperProgram::start({"extscrub-helper"}, "some-package");
  REQUIRE_FALSE(program);
  CHECK(text_of(program.error()).starts_with("cannot start " + file.native()));
}

TEST_CASE("helper programs are looked for in absolute folders only, and in some of the system's", "[helper]") {
  const TempDir dir;
  const auto file = write_file(dir.path() / "extscrub-helper", "#!/bin/sh\n");
  const Path path(":.:relative:" + dir.path().native());
  CHECK_FALSE(find_program("extscrub-helper"));  // it cannot be executed
  std::filesystem::permissions(file, std::filesystem::perms::owner_all);
  CHECK(find_program("extscrub-helper") == file.native());
  const Path none("");
  CHECK_FALSE(find_program("extscrub-helper"));
  CHECK(find_program("env") == "/usr/bin/env");
}
