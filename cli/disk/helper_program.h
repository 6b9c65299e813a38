// Another program that works for this one: started without a shell, in a process group of its own, so that a Ctrl-C is
// not for it, and told to end when this process does, however that ends.
// A HelperProgram belongs to the thread that has started it, and goes before that thread does: the kernel tells the
// program to end with its thread.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "cli/sandbox/sandbox.h"
#include "scan/format/error.h"

namespace extscrub {

// The first file of this name that can be executed: in the absolute folders of PATH, then /usr/sbin, /sbin, /usr/bin.
// Nothing where there is none.
[[nodiscard]] std::optional<std::string> find_program(const std::string& name);

// What a helper program has beside its arguments.
struct HelperRights {
  const Sandbox* sandbox = nullptr;  // none: all that this process has
  int listener = -1;                 // a socket, as systemd passes them: sd_listen_fds(3)
  std::vector<int> files = {};       // to be its descriptors from kFirstHelperFile on
};
constexpr int kFirstHelperFile = 4;

class HelperProgram {
 public:
  // `arguments`: the program's name first, and without a slash in it. `package`: the Debian package it is in, for the
  // message. Standard input and output are /dev/null; no other descriptor of ours is open in it but those of `rights`, its
  // signals are as for a new process. Where SIGCHLD is ignored it is not any more: the kernel would keep no exit status.
  // Errors: there is no such program (code ENOENT), it cannot be started.
  [[nodiscard]] static Result<HelperProgram> start(const std::vector<std::string>& arguments, const std::string& package,
                                                   const HelperRights& rights = {});

  HelperProgram(HelperProgram&& other) noexcept;
  HelperProgram& operator=(HelperProgram&& other) = delete;
  ~HelperProgram();  // a program that still runs is told to end, and killed when it does not

  [[nodiscard]] const std::string& name() const { return name_; }

  // What of its sandbox could not be had, a sentence each.
  [[nodiscard]] const std::vector<std::string>& unprotected() const { return unprotected_; }
  [[nodiscard]] pid_t pid() const { return pid_; }

  // Whether it is still at work; does not wait.
  [[nodiscard]] bool is_running();

  // Waits until it ends by itself; false when it has not after `time`.
  [[nodiscard]] bool wait(std::chrono::milliseconds time);

  // SIGTERM, and `time` later SIGKILL, to its process group; returns when it has ended.
  void end(std::chrono::milliseconds time);

  // Nobody waits for it any more; see kill_with_us().
  void leave() { running_ = false; }

  // Once it has ended: how, in words; empty for exit status 0, and for a SIGTERM that `terminated` allows for.
  [[nodiscard]] std::string failure(bool terminated = false) const;

  // What it has written to standard error: the first 4096 bytes, as one line. The rest of what it says is dropped, and
  // never waited for.
  [[nodiscard]] std::string messages();

 private:
  HelperProgram() = default;
  void signal(int number) const;

  std::string name_;
  std::vector<std::string> unprotected_;
  pid_t pid_ = -1;
  int errors_ = -1;  // the reading end of its standard error
  bool running_ = false;
  int status_ = -1;  // of waitpid(2); -1: not known
  std::string said_;
};

// Kills the programs once this process has ended, however it did, although it may signal nobody by then: a process of its own
// waits for that. Before this process starts threads. Errors: of the kernel, which does nothing then.
[[nodiscard]] Result<void> kill_with_us(const std::vector<pid_t>& programs);

}  // namespace extscrub
