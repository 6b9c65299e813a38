// A submission queue for aligned writes: buffers go in, completions come out in any order. Two kinds that do the same:
// io_uring, and threads with pwrite(2) where io_uring is not allowed (seccomp, sysctl) or it does not suit the device
// (no O_DIRECT, FUSE). A queue belongs to one thread, which both submits and reaps. Tests put a decorator in its place
// that breaks things.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "scan/format/error.h"
#include "writeback/device/write_device.h"

namespace extscrub {

enum class QueueKind : uint8_t { automatic, io_uring, threads };

// For a person: "io_uring".
[[nodiscard]] std::string_view name(QueueKind kind);

struct WriteOp {
  uint64_t at = 0;   // byte offset on the device
  Bytes bytes;       // stay where they are until the completion is reaped
  uint64_t tag = 0;  // comes back with the completion
};

struct Completion {
  uint64_t tag = 0;
  int64_t result = 0;  // bytes written, perhaps fewer than asked for, or -errno
};

class WriteQueue {
 public:
  virtual ~WriteQueue() = default;

  [[nodiscard]] virtual QueueKind kind() const = 0;

  // At most `depth()` writes are on the way at a time.
  [[nodiscard]] virtual unsigned depth() const = 0;

  // Hands over one write, which is on the way by the next reap() at the latest. 0, or an errno: then it is not on the way
  // and never will be.
  [[nodiscard]] virtual int submit(const WriteOp& op) = 0;

  // Waits for one completion of those on the way. Error: the queue itself is broken (no write's own error), and what was
  // not reaped is not on the device.
  [[nodiscard]] virtual Result<Completion> reap() = 0;
};

inline constexpr unsigned kQueueDepth = 32;

// The queue `kind` asks for; `automatic` takes io_uring where it is allowed and suits the device, threads otherwise.
// The device must outlive it. Errors: it cannot be set up.
[[nodiscard]] Result<std::unique_ptr<WriteQueue>> make_queue(QueueKind kind, WriteDevice& device, unsigned depth = kQueueDepth);
[[nodiscard]] Result<std::unique_ptr<WriteQueue>> make_uring_queue(WriteDevice& device, unsigned depth);
[[nodiscard]] Result<std::unique_ptr<WriteQueue>> make_thread_queue(WriteDevice& device, unsigned depth);

}  // namespace extscrub
