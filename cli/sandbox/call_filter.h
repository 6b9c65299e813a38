// A seccomp filter: system calls that neither an audit nor a helper program makes, and that would let whoever has taken
// one of them over reach out of it. Refused with EPERM. Built ahead, any thread.
#pragma once

#include <linux/filter.h>

#include <vector>

namespace extscrub {

struct CallFilterRules {
  bool network = false;       // sockets of any family
  bool unix_sockets = false;  // sockets of this machine's
  bool io_uring = false;
  bool execute = false;
  bool mount = false;  // by mount(2) and umount2(2)
};

// Empty where the numbers of this processor's system calls are not known here.
[[nodiscard]] std::vector<sock_filter> call_filter(const CallFilterRules& rules);

// System calls only, in a process that can gain no new privileges. Returns 0 or an errno.
[[nodiscard]] int apply_call_filter(const std::vector<sock_filter>& filter) noexcept;

}  // namespace extscrub
