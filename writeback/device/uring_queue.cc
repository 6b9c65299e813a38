#include <liburing.h>

#include <algorithm>
#include <cerrno>
#include <new>

#include "writeback/device/write_progress.h"
#include "writeback/device/write_queue.h"

namespace extscrub {

namespace {

class UringQueue final : public WriteQueue {
 public:
  UringQueue(io_uring ring, int descriptor, unsigned depth) : ring_(ring), descriptor_(descriptor), depth_(depth) {}
  UringQueue(const UringQueue&) = delete;
  UringQueue& operator=(const UringQueue&) = delete;
  ~UringQueue() override { io_uring_queue_exit(&ring_); }

  QueueKind kind() const override { return QueueKind::io_uring; }
  unsigned depth() const override { return depth_; }

  int submit(const WriteOp& op) override {
    if (broken_ != 0) return broken_;
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    if (sqe == nullptr) return EBUSY;
    io_uring_prep_write(sqe, descriptor_, op.bytes.data(), static_cast<unsigned>(op.bytes.size()), op.at);
    io_uring_sqe_set_data64(sqe, op.tag);
    ++waiting_;
    return 0;
  }

  // Sends what has been handed over since the last call: one system call for all, and the device is told once.
  Result<Completion> reap() override {
    send();
    if (broken_ != 0 && on_the_way_ == 0) return std::unexpected(system_error("cannot submit a write", broken_));
    io_uring_cqe* cqe = nullptr;
    int error = 0;
    do {
      error = -io_uring_wait_cqe(&ring_, &cqe);
    } while (error == EINTR || error == EAGAIN);
    if (error != 0) return std::unexpected(system_error("cannot wait for a write", error));
    const Completion completion{io_uring_cqe_get_data64(cqe), cqe->res};
    io_uring_cqe_seen(&ring_, cqe);
    --on_the_way_;
    return completion;
  }

 private:
  // What cannot be submitted stays in the ring, and the next io_uring_submit would send it: so there is no next one, and
  // those writes are never completed. They fail with the queue once all that were submitted are back.
  void send() {
    WriteProgress tries;
    while (waiting_ > 0 && broken_ == 0) {
      const int n = io_uring_submit(&ring_);
      if (n > 0) {
        waiting_ -= std::min(waiting_, static_cast<unsigned>(n));
        on_the_way_ += static_cast<unsigned>(n);
        tries = {};
        continue;
      }
      broken_ = tries.take(n == 0 ? -EAGAIN : n, 1, 1);
      if (broken_ == 0) tries.pause();
    }
  }

  io_uring ring_;
  int descriptor_;
  unsigned depth_;
  unsigned waiting_ = 0;     // handed over, not submitted
  unsigned on_the_way_ = 0;  // submitted, not reaped
  int broken_ = 0;
};

// IORING_OP_WRITE came after io_uring itself (5.6), and a sandbox may have taken it away.
bool can_write(io_uring& ring) {
  io_uring_probe* probe = io_uring_get_probe_ring(&ring);
  if (probe == nullptr) return false;
  const bool can = io_uring_opcode_supported(probe, IORING_OP_WRITE) != 0;
  io_uring_free_probe(probe);
  return can;
}

}  // namespace

Result<std::unique_ptr<WriteQueue>> make_uring_queue(WriteDevice& device, unsigned depth) {
  io_uring ring;
  if (const int error = -io_uring_queue_init(depth, &ring, 0))
    return std::unexpected(system_error("cannot set up io_uring", error));
  if (!can_write(ring)) {
    io_uring_queue_exit(&ring);
    return std::unexpected(system_error("io_uring cannot write", EOPNOTSUPP));
  }
  auto* queue = new (std::nothrow) UringQueue(ring, device.descriptor(), depth);
  if (queue == nullptr) {
    io_uring_queue_exit(&ring);
    return std::unexpected(system_error("cannot set up io_uring", ENOMEM));
  }
  return std::unique_ptr<WriteQueue>(queue);
}

}  // namespace extscrub
