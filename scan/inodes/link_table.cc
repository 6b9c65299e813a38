#include "scan/inodes/link_table.h"

#include <algorithm>

namespace extscrub {

uint8_t entry_type(FileType type) {
  switch (type) {
    case FileType::fifo: return EXT2_FT_FIFO;
    case FileType::character: return EXT2_FT_CHRDEV;
    case FileType::directory: return EXT2_FT_DIR;
    case FileType::block: return EXT2_FT_BLKDEV;
    case FileType::regular: return EXT2_FT_REG_FILE;
    case FileType::symlink: return EXT2_FT_SYMLINK;
    case FileType::socket: return EXT2_FT_SOCK;
    case FileType::none:
    case FileType::unknown: break;
  }
  return EXT2_FT_UNKNOWN;
}

void LinkTable::add(GroupNo group, uint32_t index, FileType type, uint16_t links, std::vector<Counted>& counted) {
  std::atomic<uint8_t*>& slot = bytes_[group.value];
  uint8_t* bytes = slot.load(std::memory_order_acquire);
  if (!bytes) {
    auto fresh = std::make_unique<uint8_t[]>(inodes_per_group_);
    if (slot.compare_exchange_strong(bytes, fresh.get(), std::memory_order_acq_rel)) bytes = fresh.release();
  }
  // An unknown kind has type 0, so that only the marker keeps its byte from looking like an inode that is not in use.
  const uint8_t code = entry_type(type);
  const bool fits = links < kElsewhere && code != EXT2_FT_DIR && code != EXT2_FT_UNKNOWN;
  if (!fits && code != EXT2_FT_DIR) counted.push_back({InodeNo(group.value * inodes_per_group_ + index + 1), links, 0});
  bytes[index] = static_cast<uint8_t>(code << kTypeShift | (fits ? links : kElsewhere));
}

void LinkTable::finish(std::vector<Counted>&& counted) {
  counted_ = std::move(counted);
  std::ranges::sort(counted_, {}, &Counted::inode);
}

bool LinkTable::take_link(InodeNo ino) {
  const uint32_t at = ino.value - 1;
  std::atomic_ref<uint8_t> byte(bytes_[at / inodes_per_group_].load(std::memory_order_relaxed)[at % inodes_per_group_]);
  uint8_t was = byte.load(std::memory_order_relaxed);
  do {
    const uint8_t left = was & kLinksMask;
    if (left == 0) return false;
    if (left == kElsewhere) {
      const auto it = std::ranges::lower_bound(counted_, ino, {}, &Counted::inode);
      if (it != counted_.end() && it->inode == ino) std::atomic_ref(it->found).fetch_add(1, std::memory_order_relaxed);
      return true;
    }
  } while (!byte.compare_exchange_weak(was, static_cast<uint8_t>(was - 1), std::memory_order_relaxed));
  return true;
}

}  // namespace extscrub
