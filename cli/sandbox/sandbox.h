// Takes away from a process all that it does not need: landlock for files (and TCP), a seccomp filter for the rest, no
// new privileges, no capabilities. What is open already stays usable. There is no way out again, for its children
// neither. What this kernel does not have is left out, and said.
// For a process with one thread: a forked child, before it starts others or becomes another program.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "cli/sandbox/call_filter.h"

namespace extscrub {

struct SandboxRules {
  std::vector<std::string> read = {};     // files, and directories with all below them
  std::vector<std::string> write = {};    // the same; may be read too. Below a directory files may be made and removed
  std::vector<std::string> execute = {};  // the same; may be read too. Empty: no program may be started
  CallFilterRules calls{.io_uring = true};  // `execute` follows from the list. Through an io_uring, where that may be
                                            // used, sockets can be made that are not for TCP
  // For a helper program: an own user where this one is root (nobody), and name spaces of its own for users, the
  // network (not with calls.network) and IPC. Files of the two lists may still be opened whoever they belong to.
  bool own_identity = false;
  // For a helper program that mounts, which landlock allows nobody: as root it keeps its user, CAP_SYS_ADMIN and what
  // own_identity leaves, without landlock; mounts seen by others have to be made in their name space. As another user
  // nothing is taken from it: a set-user-ID program mounts for it.
  bool mounts = false;
};

class Sandbox {
 public:
  // Looks the files up; one that is not there is left out. Allocates, and holds a descriptor: may be called ahead, in
  // the parent, by any thread.
  explicit Sandbox(const SandboxRules& rules);
  Sandbox(Sandbox&& other) noexcept;
  Sandbox& operator=(Sandbox&&) = delete;
  ~Sandbox();

  // A sentence for each protection that this kernel, or this user, does not have.
  [[nodiscard]] const std::vector<std::string>& missing() const { return missing_; }

  // Of the calling process; system calls only. Protections that fail now although they seemed to be there, bits for
  // failures().
  [[nodiscard]] unsigned enter() const noexcept;

 private:
  void prepare_landlock(const SandboxRules& rules);

  std::vector<std::string> missing_;
  std::vector<sock_filter> filter_;
  int ruleset_ = -1;
  uint64_t capabilities_ = 0;  // that stay
  bool nobody_ = false, own_namespaces_ = false, own_network_ = false, left_alone_ = false;
};

// What the bits of Sandbox::enter() mean, a sentence each.
[[nodiscard]] std::vector<std::string> failures(unsigned bits);

// Both at once. Returns what could not be had.
std::vector<std::string> enter_sandbox(const SandboxRules& rules);

}  // namespace extscrub
