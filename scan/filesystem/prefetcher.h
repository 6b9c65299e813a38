// Reads blocks that lie apart before their turn, many at a time and in the order of the disk: the nodes of block maps,
// say, of all the inodes that come next. Through io_uring, with one system call; where that is not allowed the kernel is
// asked to read ahead, and whoever needs a block reads it then.
// Belongs to one thread. Nothing is on its way between two calls.
#pragma once

#include <memory>
#include <vector>

#include "scan/filesystem/file_system.h"

struct io_uring;

namespace extscrub {

class Prefetcher {
 public:
  explicit Prefetcher(const FileSystem& fs);
  ~Prefetcher();
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;

  // How many blocks one call takes; what is beyond them is left out.
  [[nodiscard]] size_t capacity() const { return capacity_; }

  // Forgets what was fetched before, and fetches `blocks` (sorts them, and drops what is there twice). Those outside the
  // file system, those that are staged and those that cannot be read are left out: reading them tells why.
  void fetch(std::vector<BlockNo>& blocks);

  // The block's bytes as the image has them, valid until the next fetch(); null when it was not fetched.
  [[nodiscard]] const std::byte* find(BlockNo block) const;

  // Whether io_uring is used; known after the first fetch() of more than one block.
  [[nodiscard]] bool has_ring() const { return ring_ != nullptr; }

 private:
  struct CloseRing {
    void operator()(io_uring* ring) const;
  };

  bool open_ring();
  void read_through_ring() noexcept;
  void take(uint64_t tag, int result) noexcept;

  const FileSystem& fs_;
  size_t capacity_;
  std::unique_ptr<io_uring, CloseRing> ring_;
  bool ring_refused_ = false;
  std::unique_ptr<std::byte[]> buffer_;  // of capacity_ blocks
  std::vector<BlockNo> blocks_;          // sorted; the i-th lies in the i-th part of the buffer
  std::vector<bool> fetched_;            // by index in blocks_
};

}  // namespace extscrub
