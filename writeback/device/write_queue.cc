#include "writeback/device/write_queue.h"

namespace extscrub {

std::string_view name(QueueKind kind) {
  switch (kind) {
    case QueueKind::automatic: return "automatic";
    case QueueKind::io_uring: return "io_uring";
    case QueueKind::threads: return "threads";
  }
  return {};
}

Result<std::unique_ptr<WriteQueue>> make_queue(QueueKind kind, WriteDevice& device, unsigned depth) {
  if (kind == QueueKind::io_uring) return make_uring_queue(device, depth);
  if (kind == QueueKind::automatic && device.suits_io_uring())
    if (auto queue = make_uring_queue(device, depth)) return queue;
  return make_thread_queue(device, depth);
}

}  // namespace extscrub
