#include "cli/sandbox/sandbox.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <liburing.h>
#include <cerrno>
#include <fstream>
#include <functional>

#include "tests/support/catch.h"
#include "tests/support/process.h"

using namespace extscrub;
using extscrub::test::TempDir;

namespace {

struct Files {
  Files() {
    std::ofstream(allowed) << "allowed";
    std::ofstream(other) << "other";
  }
  TempDir dir;
  std::string allowed = dir.path() / "allowed", other = dir.path() / "other", made = dir.path() / "made";
};

// In a child: what `act` returns, an errno or 0.
int in_child(const std::function<int()>& act) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) ::_exit(act());
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  return WEXITSTATUS(status);
}

int in_sandbox(const SandboxRules& rules, const std::function<int()>& act) {
  return in_child([&] {
    const auto missing = enter_sandbox(rules);
    const int result = act();
    return result == 0 && !missing.empty() ? 250 : result;
  });
}

int error_of(long result) { return result < 0 ? errno : 0; }
int error_of_open(const std::string& path, int flags) { return error_of(::open(path.c_str(), flags, 0600)); }

// What this kernel has no protection for cannot be tested here.
bool is_whole() {
  const Sandbox sandbox({});
  for (const std::string& sentence : sandbox.missing()) WARN(sentence);
  return sandbox.missing().empty();
}

}  // namespace

TEST_CASE("in a sandbox only the files that were named can be opened", "[sandbox]") {
  if (!is_whole()) return;
  const Files files;
  const SandboxRules rules{.read = {files.allowed, files.dir.path() / "absent"}};
  CHECK(in_sandbox(rules, [&] { return error_of_open(files.allowed, O_RDONLY); }) == 0);
  CHECK(in_sandbox(rules, [&] { return error_of_open(files.allowed, O_RDWR); }) == EACCES);
  CHECK(in_sandbox(rules, [&] { return error_of_open(files.other, O_RDONLY); }) == EACCES);
  CHECK(in_sandbox(rules, [&] { return error_of_open(files.made, O_WRONLY | O_CREAT); }) == EACCES);
  CHECK(in_sandbox(rules, [&] { return error_of(::unlink(files.other.c_str())); }) == EACCES);
  CHECK(in_sandbox(rules, [&] { return error_of(::chmod(files.allowed.c_str(), 0644)); }) == EPERM);
  CHECK(in_sandbox(rules, [&] { return error_of(::truncate(files.other.c_str(), 0)); }) != 0);
  CHECK(in_sandbox({.write = {files.allowed}}, [&] { return error_of_open(files.allowed, O_RDWR | O_TRUNC); }) == 0);
  CHECK(in_sandbox({.write = {files.dir.path()}}, [&] { return error_of_open(files.made, O_RDWR | O_CREAT); }) == 0);
  CHECK(in_sandbox({.read = {files.dir.path()}}, [&] { return error_of_open(files.other, O_RDONLY); }) == 0);
}

TEST_CASE("a descriptor that was open before the sandbox stays usable", "[sandbox]") {
  if (!is_whole()) return;
  const Files files;
  const int fd = ::open(files.other.c_str(), O_RDWR | O_CLOEXEC);
  REQUIRE(fd >= 0);
  CHECK(in_sandbox({}, [&] { return error_of(::pwrite(fd, "x", 1, 0)) + error_of(::ftruncate(fd, 3)); }) == 0);
  ::close(fd);
}

TEST_CASE("a sandbox has no network and starts no program", "[sandbox]") {
  if (!is_whole()) return;
  const auto socket_of = [](int family, int type) { return [=] { return error_of(::socket(family, type, 0)); }; };
  CHECK(in_sandbox({}, socket_of(AF_INET, SOCK_STREAM)) == EPERM);
  CHECK(in_sandbox({}, socket_of(AF_INET6, SOCK_DGRAM)) == EPERM);
  CHECK(in_sandbox({}, socket_of(AF_UNIX, SOCK_STREAM)) == EPERM);
  CHECK(in_sandbox({.calls = {.unix_sockets = true}}, socket_of(AF_UNIX, SOCK_STREAM)) == 0);
  CHECK(in_sandbox({.calls = {.unix_sockets = true}}, socket_of(AF_INET, SOCK_STREAM)) == EPERM);
  CHECK(in_sandbox({.calls = {.network = true}}, socket_of(AF_INET, SOCK_STREAM)) == 0);
  const auto run_true = [] { return error_of(::execl("/bin/true", "true", nullptr)); };
  CHECK(in_sandbox({.read = {"/"}}, run_true) == EPERM);
  CHECK(in_sandbox({.execute = {"/"}}, run_true) == 0);
}

TEST_CASE("a sandbox has an io_uring where it is asked for", "[sandbox]") {
  if (!is_whole()) return;
  const auto ring = [] {
    io_uring made{};
    return -::io_uring_queue_init(4, &made, 0);
  };
  if (in_child(ring) != 0) return;  // nobody has one here
  CHECK(in_sandbox({}, ring) == 0);
  CHECK(in_sandbox({.calls = {.io_uring = false}}, ring) == EPERM);
}

TEST_CASE("with an identity of its own a helper can do nothing to root's processes and files", "[sandbox]") {
  if (!is_whole()) return;
  const Files files;
  const bool root = ::geteuid() == 0;
  const SandboxRules rules{.write = {files.allowed}, .execute = {"/usr", "/lib"}, .own_identity = true};
  const auto child = [&](const std::function<int()>& act) {
    return in_child([&] {
      const Sandbox sandbox(rules);
      if (sandbox.enter() != 0) return 251;  // containers may refuse name spaces
      return act();
    });
  };
  const int entered = child([&] { return root && ::getuid() == 0 ? 1 : 0; });
  if (entered == 251) {
    WARN("name spaces are refused here");
    return;
  }
  CHECK(entered == 0);
  CHECK(::chmod(files.allowed.c_str(), 0600) == 0);
  CHECK(child([&] { return error_of_open(files.allowed, O_RDWR); }) == 0);
  CHECK(child([&] { return error_of_open(files.other, O_RDONLY); }) == EACCES);
  CHECK(child([&] { return error_of(::kill(::getppid(), 0)); }) == EPERM);
  // What it becomes keeps no more: the shell's own list of its capabilities.
  if (!root) return;
  CHECK(child([] {
          return error_of(::execl("/usr/bin/sh", "sh", "-c", "test $(id -u) = 65534 && ! cat /etc/shadow 2>&-", nullptr));
        }) == 0);
}
