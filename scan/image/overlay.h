// Staged blocks over an image: what a repair will write, seen by every reader as if it were written already.
// Reading is safe from many threads as long as nobody stages; staging is for one thread.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "scan/format/types.h"
#include "scan/image/block_store.h"
#include "scan/image/image.h"

namespace extscrub {

// One block a repair changes. The spans point into the overlay and live as long as it does.
struct StagedBlock {
  BlockNo block;
  Bytes before;  // one block, as it was read from the image; zero-padded where the image ends inside it
  Bytes after;   // one block
};

class Overlay {
 public:
  // `block_size` in bytes; `memory`: how many bytes of staged blocks may lie on the heap, before a temporary file takes
  // the rest. The image must outlive the overlay.
  Overlay(const Image& image, uint32_t block_size, uint64_t memory = kDefaultOverlayMemory)
      : image_(&image), block_size_(block_size), store_(block_size, memory) {}

  // Fills `out`, whole blocks, from block `first` on; what lies behind the image's end inside its last block reads as
  // zeros. Errors: those of Image::read, for the whole range; or it has missing blocks that are not staged.
  [[nodiscard]] Result<void> read(BlockNo first, MutableBytes out) const;

  // From this block on the image was cut off: they are missing, and begin as zeros when they are edited.
  void set_end(BlockNo end) { end_ = end; }

  // The block, to be changed in place; its before-image is kept. Errors: the block cannot be read, or there is no room.
  [[nodiscard]] Result<MutableBytes> edit(BlockNo block);

  // The blocks that differ from the image, by block number.
  [[nodiscard]] std::vector<StagedBlock> staged() const;

  // Whether the block was ever edited.
  [[nodiscard]] bool has(BlockNo block) const { return !blocks_.empty() && blocks_.contains(block); }

  [[nodiscard]] bool empty() const { return blocks_.empty(); }
  [[nodiscard]] const Image& image() const { return *image_; }
  [[nodiscard]] uint32_t block_size() const { return block_size_; }

 private:
  struct Entry {
    std::byte *before, *after;  // in the store
  };

  [[nodiscard]] Result<void> read_image(BlockNo first, MutableBytes out) const;
  // Whether one of these blocks is missing and not staged.
  [[nodiscard]] bool lacks(BlockNo first, BlockNo end) const;

  const Image* image_;
  uint32_t block_size_;
  std::optional<BlockNo> end_;
  BlockStore store_;
  std::map<BlockNo, Entry> blocks_;
};

}  // namespace extscrub
