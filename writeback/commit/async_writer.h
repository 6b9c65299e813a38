// Writes a list of buffers through a queue, a bounded number at a time, and looks at every completion. A short one goes
// on behind it, EAGAIN and EINTR are tried again, anything else sets the error latch; the latch is asked before every
// submission. Runs in its caller's thread and allocates when it is made, not later.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "writeback/device/aligned_buffer.h"
#include "writeback/device/write_progress.h"
#include "writeback/device/write_queue.h"
#include "writeback/mark/error_latch.h"

namespace extscrub {

// What the writer asks and tells. The calls come in the thread that called write().
class WriteClient {
 public:
  virtual ~WriteClient() = default;

  // Fills `out` with the bytes of `job`. Called once a job, right before its submission.
  virtual void compose(size_t job, MutableBytes out) = 0;

  // `job` is over: on the device (0), or failed after `done` good bytes; the latch is set already then.
  virtual void finished(size_t job, int error) = 0;

  // The block at byte `done` of `job`, which a failure there is put down to.
  [[nodiscard]] virtual BlockNo block_at(size_t job, size_t done) const = 0;

  [[nodiscard]] virtual bool cancelled() const = 0;
};

struct WriteJob {
  uint64_t at = 0;      // byte offset on the device
  uint32_t length = 0;  // bytes
};

class AsyncWriter {
 public:
  // `alignment`: of the device; `capacity`: the longest job, in bytes.
  AsyncWriter(WriteQueue& queue, ErrorLatch& latch, uint32_t alignment, size_t capacity);

  // Returns once nothing is in flight: true when every job has been submitted and is over without a failure; false when
  // the latch or cancelled() stopped it. Jobs must not share a sector.
  [[nodiscard]] bool write(std::span<const WriteJob> jobs, WriteClient& client);

  [[nodiscard]] uint64_t submissions() const { return submissions_; }

 private:
  struct Slot {
    AlignedBuffer buffer;
    size_t job = 0;
    WriteProgress progress;
    bool busy = false;
  };

  void start(size_t slot, size_t job);
  void submit(size_t slot);
  void complete(const Completion& completion);
  void fail(size_t slot, int error);
  void release(size_t slot, int error);
  void fail_all_in_flight(int error);

  WriteQueue& queue_;
  ErrorLatch& latch_;
  uint32_t alignment_;
  std::vector<Slot> slots_;
  std::vector<size_t> free_;  // slots
  uint64_t submissions_ = 0;
  // Of the write() that is running:
  std::span<const WriteJob> jobs_;
  WriteClient* client_ = nullptr;
};

}  // namespace extscrub
