// Memory for many blocks: on the heap up to a limit, behind it in an unlinked temporary file that is mapped, so that the
// machine may put it aside. Blocks stay where they are as long as the store lives. For one thread.
#pragma once

#include <memory>
#include <vector>

#include "scan/format/error.h"
#include "scan/format/types.h"

namespace extscrub {

inline constexpr uint64_t kDefaultOverlayMemory = uint64_t{256} << 20;  // bytes

class BlockStore {
 public:
  // `block_size` and `memory` (the limit) in bytes.
  explicit BlockStore(uint32_t block_size, uint64_t memory = kDefaultOverlayMemory) : block_size_(block_size), memory_(memory) {}
  BlockStore(BlockStore&& other) noexcept;
  BlockStore& operator=(BlockStore&& other) noexcept;
  ~BlockStore();

  // One more block, its bytes undefined. Errors: no temporary file ($TMPDIR, or /var/tmp), or no space in it.
  [[nodiscard]] Result<std::byte*> allocate();

  // Bytes that lie in the temporary file.
  [[nodiscard]] uint64_t spilled() const { return file_bytes_; }

 private:
  struct Mapping {
    void* at;
    size_t bytes;
  };

  [[nodiscard]] Result<void> add_chunk();
  [[nodiscard]] Result<void> map_chunk(size_t bytes);
  void map_memory(size_t bytes);
  void take_chunk(std::byte* chunk, size_t bytes);

  uint32_t block_size_;
  uint64_t memory_, memory_bytes_ = 0, file_bytes_ = 0;
  std::vector<std::unique_ptr<std::byte[]>> heap_;
  std::vector<Mapping> mapped_;
  int file_ = -1;
  std::byte* next_ = nullptr;  // of the newest chunk
  size_t left_ = 0;            // bytes in it
};

}  // namespace extscrub
