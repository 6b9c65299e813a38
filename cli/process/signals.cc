#include "cli/process/signals.h"

#include <unistd.h>

#include <csignal>

#include "cli/process/exit_status.h"

namespace extscrub {

namespace {

// A handler is given nothing but the signal's number, so that this one flag cannot belong to an object.
std::atomic<bool> stop{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may not wait for a lock");

// The second one ends the process at once, whatever it is stuck in. An image that is being written says "not clean".
extern "C" void set_stop(int) {
  if (stop.exchange(true, std::memory_order_relaxed)) ::_exit(kExitCancelled | kExitOperational);
}

// Unlike "ignored", this ends with execve(2): helper programs are stopped with these signals.
extern "C" void leave_it(int) {}

struct sigaction action_of(void (*handler)(int)) {
  struct sigaction action{};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  return action;
}

}  // namespace

const std::atomic<bool>& catch_stop_signals() {
  const struct sigaction action = action_of(set_stop);
  for (const int signal : {SIGINT, SIGTERM}) {
    struct sigaction old{};
    // Whoever started us may have ignored them (nohup); that is kept.
    if (::sigaction(signal, nullptr, &old) == 0 && old.sa_handler != SIG_IGN) ::sigaction(signal, &action, nullptr);
  }
  // A reader of our messages that goes away (| head) must not end a commit half-way; the write's error tells of it.
  ::signal(SIGPIPE, SIG_IGN);
  // Where files may not grow any more (ulimit -f), a write fails as it does on a full disk.
  ::signal(SIGXFSZ, SIG_IGN);
  return stop;
}

const std::atomic<bool>& catch_stop_of_run() {
  stop.store(false, std::memory_order_relaxed);  // what the run was told it passes on
  const struct sigaction leave = action_of(leave_it), action = action_of(set_stop);
  for (const int signal : {SIGINT, SIGTERM}) ::sigaction(signal, &leave, nullptr);
  ::sigaction(kStopWork, &action, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, kStopWork);
  ::sigprocmask(SIG_UNBLOCK, &blocked, nullptr);
  return stop;
}

}  // namespace extscrub
