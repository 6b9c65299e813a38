#include "scan/format/dir_block.h"

#include "scan/format/crc.h"

namespace extscrub {

uint32_t decode_rec_len(uint16_t stored, uint32_t block_size) {
  if (block_size < 65536) return stored;
  if (stored == 65535 || stored == 0) return block_size;
  return (stored & 0xFFFCu) | (stored & 3u) << 16;
}

uint16_t encode_rec_len(uint32_t rec_len, uint32_t block_size) {
  if (rec_len < 65536) return static_cast<uint16_t>(rec_len);
  return static_cast<uint16_t>(rec_len == block_size ? 65535 : (rec_len & 0xFFFCu) | (rec_len >> 16 & 3));
}

std::optional<DirEntry> EntryWalk::next() {
  if (at_ >= area_.size() || broken_) return std::nullopt;
  const auto left = static_cast<uint32_t>(area_.size() - at_);
  if (left < kEntryHeader) {
    broken_ = true;
    return std::nullopt;
  }
  DirEntry e;
  e.offset = at_;
  e.inode = InodeNo(load<uint32_t>(area_, at_));
  e.rec_len = decode_rec_len(load<uint16_t>(area_, at_ + 4), block_size_);
  const auto name_length = load<uint8_t>(area_, at_ + 6);
  e.type = load<uint8_t>(area_, at_ + 7);
  if (e.rec_len > left || e.rec_len < kShortestEntry || e.rec_len % 4 != 0 || name_length + kEntryHeader > e.rec_len) {
    broken_ = true;
    return std::nullopt;
  }
  e.name = {reinterpret_cast<const char*>(area_.data()) + at_ + kEntryHeader, name_length};
  at_ += e.rec_len;
  return e;
}

std::optional<uint32_t> leaf_tail(Bytes block) {
  const auto tail = load<ext2_dir_entry_tail>(block, block.size() - kDirTail);
  if (tail.det_reserved_zero1 != 0 || tail.det_rec_len != kDirTail || tail.det_reserved_name_len != EXT2_DIR_NAME_LEN_CSUM)
    return std::nullopt;
  return tail.det_checksum;
}

uint32_t leaf_checksum(uint32_t seed, Bytes block) { return crc32c(seed, block.first(block.size() - kDirTail)); }

uint32_t leaf_seed(uint32_t checksum, Bytes block) { return crc32c_before(checksum, block.first(block.size() - kDirTail)); }

void seal_leaf(uint32_t seed, MutableBytes block) {
  ext2_dir_entry_tail tail{};
  tail.det_rec_len = kDirTail;
  tail.det_reserved_name_len = EXT2_DIR_NAME_LEN_CSUM;
  tail.det_checksum = leaf_checksum(seed, block);
  store(block, block.size() - kDirTail, tail);
}

}  // namespace extscrub
