#include "tests/support/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <stdexcept>

extern char** environ;

namespace extscrub::test {

namespace {

std::vector<std::string> fixed_environment() {
  std::vector<std::string> result;
  for (char** e = environ; *e; ++e) {
    const std::string_view entry = *e;
    const std::string_view name = entry.substr(0, entry.find('='));
    if (name != "PATH" && name != "LC_ALL" && name != "TZ" && !name.starts_with("E2FSCK_") && !name.starts_with("MKE2FS_"))
      result.emplace_back(entry);
  }
  const char* path = std::getenv("PATH");
  result.push_back(fmt::format("PATH={}:/usr/sbin:/sbin", path ? path : "/usr/bin:/bin"));
  result.insert(result.end(), {"LC_ALL=C", "TZ=GMT0", "E2FSCK_CONFIG=/dev/null",
                               "MKE2FS_CONFIG=" EXTSCRUB_SOURCE_DIR "/tests/support/mke2fs.conf"});
  return result;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (std::string& s : strings) result.push_back(s.data());
  result.push_back(nullptr);
  return result;
}

}  // namespace

Outcome run(const std::vector<std::string>& command) {
  int pipe_ends[2];
  if (pipe2(pipe_ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2 failed");

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], 1);
  posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], 2);

  // posix_spawnp searches this process's PATH, which for a user who is not root often lacks the sbin folders.
  std::vector<std::string> arguments = command, environment = fixed_environment();
  if (!command.front().contains('/')) arguments.insert(arguments.begin(), "/usr/bin/env");
  pid_t child = 0;
  const int error =
      posix_spawn(&child, arguments.front().c_str(), &actions, nullptr, pointers(arguments).data(), pointers(environment).data());
  posix_spawn_file_actions_destroy(&actions);
  close(pipe_ends[1]);
  if (error != 0) {
    close(pipe_ends[0]);
    throw std::runtime_error(fmt::format("cannot start {}: {}", command.front(), std::strerror(error)));
  }

  Outcome outcome;
  char buffer[4096];
  ssize_t n;
  while ((n = read(pipe_ends[0], buffer, sizeof buffer)) > 0) outcome.output.append(buffer, n);
  close(pipe_ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  outcome.status = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
  return outcome;
}

std::string run_or_throw(const std::vector<std::string>& command) {
  Outcome outcome = run(command);
  if (outcome.status != 0)
    throw std::runtime_error(fmt::format("{}: exit {}\n{}", fmt::join(command, " "), outcome.status, outcome.output));
  return outcome.output;
}

TempDir::TempDir() {
  std::string name = std::filesystem::temp_directory_path() / "extscrub-test-XXXXXX";
  if (!mkdtemp(name.data())) throw std::runtime_error("cannot make a temporary directory");
  path_ = name;
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace extscrub::test
