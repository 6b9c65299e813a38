#include <condition_variable>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "writeback/device/write_queue.h"

namespace extscrub {

namespace {

constexpr unsigned kMostThreads = 4;

class ThreadQueue final : public WriteQueue {
 public:
  ThreadQueue(WriteDevice& device, unsigned depth) : device_(device), depth_(depth) {
    try {
      for (unsigned i = 0; i < std::min(kMostThreads, depth); ++i) threads_.emplace_back([this] { work(); });
    } catch (...) {
      stop();
      throw;
    }
  }
  ThreadQueue(const ThreadQueue&) = delete;
  ThreadQueue& operator=(const ThreadQueue&) = delete;
  ~ThreadQueue() override { stop(); }

  QueueKind kind() const override { return QueueKind::threads; }
  unsigned depth() const override { return depth_; }

  int submit(const WriteOp& op) override {
    try {
      const std::lock_guard lock(mutex_);
      waiting_.push_back(op);
    } catch (const std::bad_alloc&) {
      return ENOMEM;
    }
    work_there_.notify_one();
    return 0;
  }

  Result<Completion> reap() override {
    std::unique_lock lock(mutex_);
    done_there_.wait(lock, [this] { return !done_.empty(); });
    const Completion completion = done_.front();
    done_.pop_front();
    return completion;
  }

 private:
  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      work_there_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
      if (waiting_.empty()) return;
      const WriteOp op = waiting_.front();
      waiting_.pop_front();
      lock.unlock();
      const int64_t result = device_.write(op.at, op.bytes);
      lock.lock();
      done_.push_back({op.tag, result});
      done_there_.notify_one();
    }
  }

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    work_there_.notify_all();
    for (auto& thread : threads_) thread.join();
  }

  WriteDevice& device_;
  unsigned depth_;
  std::mutex mutex_;  // guards the next three, never held during I/O
  std::deque<WriteOp> waiting_;
  std::deque<Completion> done_;
  bool stopping_ = false;
  std::condition_variable work_there_, done_there_;
  std::vector<std::thread> threads_;
};

}  // namespace

Result<std::unique_ptr<WriteQueue>> make_thread_queue(WriteDevice& device, unsigned depth) {
  try {
    return std::make_unique<ThreadQueue>(device, depth);
  } catch (const std::system_error& e) {
    return std::unexpected(system_error("cannot start the threads that write", e.code().value()));
  } catch (const std::bad_alloc&) {
    return std::unexpected(system_error("cannot start the threads that write", ENOMEM));
  }
}

}  // namespace extscrub
