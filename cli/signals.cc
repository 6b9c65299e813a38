#include "cli/signals.h"

#include <unistd.h>

#include <csignal>

#include "cli/exit_status.h"

namespace extscrub {

namespace {

// A handler is given nothing but the signal's number, so that this one flag cannot belong to an object.
std::atomic<bool> stop{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may not wait for a lock");

// The second one ends the process at once, whatever it is stuck in. An image that is being written says "not clean".
extern "C" void set_stop(int) {
  if (stop.exchange(true, std::memory_order_relaxed)) ::_exit(kExitCancelled | kExitOperational);
}

}  // namespace

const std::atomic<bool>& catch_stop_signals() {
  struct sigaction action {};
  action.sa_handler = set_stop;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (const int signal : {SIGINT, SIGTERM}) {
    struct sigaction old {};
    // Whoever started us may have ignored them (nohup); that is kept.
    if (::sigaction(signal, nullptr, &old) == 0 && old.sa_handler != SIG_IGN) ::sigaction(signal, &action, nullptr);
  }
  // A reader of our messages that goes away (| head) must not end a commit half-way; the write's error tells of it.
  ::signal(SIGPIPE, SIG_IGN);
  return stop;
}

}  // namespace extscrub
