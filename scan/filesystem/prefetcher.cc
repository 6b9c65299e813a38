#include "scan/filesystem/prefetcher.h"

#include <liburing.h>

#include <algorithm>
#include <cerrno>
#include <thread>

namespace extscrub {

namespace {

constexpr size_t kMostBytes = 512 << 10;
constexpr size_t kMostBlocks = 128;
constexpr size_t kFewestBlocks = 8;  // however large a block is

}  // namespace

void Prefetcher::CloseRing::operator()(io_uring* ring) const {
  io_uring_queue_exit(ring);
  delete ring;
}

Prefetcher::Prefetcher(const FileSystem& fs)
    : fs_(fs), capacity_(std::clamp(kMostBytes / fs.geometry.block_size, kFewestBlocks, kMostBlocks)) {}

Prefetcher::~Prefetcher() = default;

bool Prefetcher::open_ring() {
  if (ring_ || ring_refused_) return ring_ != nullptr;
  auto ring = std::make_unique<io_uring>();
  ring_refused_ = io_uring_queue_init(static_cast<unsigned>(capacity_), ring.get(), 0) < 0;
  if (!ring_refused_) ring_.reset(ring.release());
  return !ring_refused_;
}

void Prefetcher::fetch(std::vector<BlockNo>& blocks) {
  const uint32_t size = fs_.geometry.block_size;
  blocks_.clear();
  if (!fs_.image->reads_ahead()) return;
  std::ranges::sort(blocks);
  blocks.erase(std::ranges::unique(blocks).begin(), blocks.end());
  std::erase_if(blocks, [&](BlockNo b) { return !fs_.geometry.contains(b) || fs_.blocks->has(b); });
  if (blocks.size() > capacity_) blocks.resize(capacity_);
  if (blocks.size() < 2) return;  // is no faster than reading it in its turn
  if (!open_ring()) {
    for (const BlockNo b : blocks) fs_.image->prefetch(b.value * size, size);
    return;
  }
  if (!buffer_) buffer_ = std::make_unique_for_overwrite<std::byte[]>(capacity_ * size);
  blocks_ = blocks;
  fetched_.assign(blocks_.size(), false);
  read_through_ring();
}

// The tag of a read: the index of its first block, and how many follow each other on the disk and in the buffer.
// Returns when every read has come back, whatever happens: the kernel writes into the buffer until then.
void Prefetcher::read_through_ring() noexcept {
  const uint64_t size = fs_.geometry.block_size;
  unsigned left = 0;
  for (size_t i = 0; i < blocks_.size();) {
    size_t end = i + 1;
    while (end < blocks_.size() && blocks_[end] == blocks_[end - 1] + 1) ++end;
    io_uring_sqe* sqe = io_uring_get_sqe(ring_.get());
    if (!sqe) break;  // the ring has an entry for each
    io_uring_prep_read(sqe, fs_.image->descriptor(), buffer_.get() + i * size, static_cast<unsigned>((end - i) * size),
                       fs_.image->offset() + blocks_[i].value * size);
    io_uring_sqe_set_data64(sqe, i << 32 | (end - i));
    ++left;
    i = end;
  }
  bool refused = false;
  while (left > (refused ? io_uring_sq_ready(ring_.get()) : 0)) {
    if (!refused) {
      const int r = io_uring_submit_and_wait(ring_.get(), 1);
      refused = r < 0 && r != -EINTR && r != -EAGAIN && r != -EBUSY;
    }
    unsigned head = 0, seen = 0;
    io_uring_cqe* cqe = nullptr;
    io_uring_for_each_cqe(ring_.get(), head, cqe) {
      take(io_uring_cqe_get_data64(cqe), cqe->res);
      ++seen;
    }
    io_uring_cq_advance(ring_.get(), seen);
    left -= seen;
    if (seen == 0) std::this_thread::yield();
  }
  if (!refused) return;
  ring_.reset();
  ring_refused_ = true;
}

void Prefetcher::take(uint64_t tag, int result) noexcept {
  if (result <= 0) return;
  const size_t whole = static_cast<size_t>(result) / fs_.geometry.block_size;
  for (size_t i = 0; i < std::min<size_t>(whole, tag & UINT32_MAX); ++i) fetched_[(tag >> 32) + i] = true;
}

const std::byte* Prefetcher::find(BlockNo block) const {
  const auto it = std::ranges::lower_bound(blocks_, block);
  if (it == blocks_.end() || *it != block) return nullptr;
  const auto i = static_cast<size_t>(it - blocks_.begin());
  return fetched_[i] ? buffer_.get() + i * fs_.geometry.block_size : nullptr;
}

}  // namespace extscrub
