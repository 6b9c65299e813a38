// Writes the error mark of a commit, in a thread of its own: a completion only latches, and wakes the worker; the
// worker waits until nothing is in flight (a superblock write above all: the mark has to land last), then writes one
// mark for all failures. It outlives the last completion. Throws std::system_error when the thread cannot be made.
#pragma once

#include <atomic>
#include <functional>
#include <thread>

#include "writeback/mark/error_latch.h"

namespace extscrub {

class ErrorWorker {
 public:
  using WriteMark = std::function<void(const FailureSummary&)>;

  // `write_mark` is called in the worker's thread, at most once; it must not throw.
  ErrorWorker(ErrorLatch& latch, WriteMark write_mark)
      : latch_(latch), write_mark_(std::move(write_mark)), thread_([this] { work(); }) {}
  ErrorWorker(const ErrorWorker&) = delete;
  ErrorWorker& operator=(const ErrorWorker&) = delete;
  ~ErrorWorker() { settle(); }

  // Nothing is in flight and nothing will be: lets the mark be written if the latch is set, and returns after it.
  void settle() {
    if (!thread_.joinable()) return;
    quiet_.store(true);
    quiet_.notify_all();
    latch_.close();
    thread_.join();
  }

 private:
  void work() {
    latch_.wait();
    quiet_.wait(false);
    if (latch_.set()) write_mark_(latch_.summary());
  }

  ErrorLatch& latch_;
  WriteMark write_mark_;
  std::atomic<bool> quiet_{false};
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace extscrub
