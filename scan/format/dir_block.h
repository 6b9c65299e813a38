// The form of a directory block: entries one behind the other, and with metadata_csum a checksum in a fake entry at the
// end. Where an entry does not fit, nothing behind it can be found. The checks of what entries say are in
// directory_checker.h.
// Stateless, or a plain value over somebody else's bytes: any thread.
#pragma once

#include <optional>
#include <string_view>

#include "scan/format/checksum.h"

namespace extscrub {

inline constexpr size_t kEntryHeader = 8;  // bytes before the name
inline constexpr uint32_t kShortestEntry = 12;
inline constexpr size_t kDirTail = sizeof(ext2_dir_entry_tail);

// Bytes that an entry with a name of that length needs at least.
[[nodiscard]] constexpr uint32_t entry_size(size_t name_length) {
  return static_cast<uint32_t>(kEntryHeader + name_length + 3) / 4 * 4;
}

struct DirEntry {
  uint32_t offset = 0;   // in the block
  uint32_t rec_len = 0;  // bytes
  InodeNo inode;         // 0: unused
  uint8_t type = 0;      // EXT2_FT_*; the upper byte of the name's length without the feature filetype
  std::string_view name;
};

// rec_len as bytes. In blocks of 64 KiB its two lowest bits are the highest ones, and 65535 and 0 mean the whole block.
[[nodiscard]] uint32_t decode_rec_len(uint16_t stored, uint32_t block_size);

[[nodiscard]] uint16_t encode_rec_len(uint32_t rec_len, uint32_t block_size);

// Walks the entries of `area` (a block, or a part of one).
class EntryWalk {
 public:
  EntryWalk(Bytes area, uint32_t block_size, uint32_t begin = 0) : area_(area), block_size_(block_size), at_(begin) {}

  // The next entry; nothing at the end, or at one that does not fit (broken()).
  [[nodiscard]] std::optional<DirEntry> next();
  [[nodiscard]] bool broken() const { return broken_; }
  [[nodiscard]] uint32_t offset() const { return at_; }  // of the next entry, or of the broken one

 private:
  Bytes area_;
  uint32_t block_size_;
  uint32_t at_;
  bool broken_ = false;
};

// The checksum in a leaf's tail, if the block ends with one.
[[nodiscard]] std::optional<uint32_t> leaf_tail(Bytes block);
[[nodiscard]] uint32_t leaf_checksum(uint32_t inode_seed, Bytes block);
// The seed of the inode that a checksum was made for.
[[nodiscard]] uint32_t leaf_seed(uint32_t checksum, Bytes block);
// Stores the tail with the checksum of what lies before it.
void seal_leaf(uint32_t inode_seed, MutableBytes block);

}  // namespace extscrub
