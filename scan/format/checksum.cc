#include "scan/format/checksum.h"

#include <span>
#include <vector>

#include "scan/format/crc.h"

namespace extscrub {

namespace {

constexpr size_t kDescChecksum = offsetof(ext4_group_desc, bg_checksum);
constexpr size_t kInodeChecksumLo = offsetof(ext2_inode, osd2.linux2.l_i_checksum_lo);
constexpr size_t kInodeChecksumHi = offsetof(ext2_inode_large, i_checksum_hi);
constexpr uint16_t kZero = 0;

}  // namespace

uint16_t group_desc_checksum(const Geometry& g, const ext2_super_block& super, GroupNo group, Bytes raw) {
  const Bytes head = raw.first(kDescChecksum);
  const Bytes tail = raw.subspan(kDescChecksum + sizeof(uint16_t));
  if (g.metadata_csum()) {
    uint32_t crc = crc32c_of(g.csum_seed, group.value);
    crc = crc32c_of(crc32c(crc, head), kZero);
    return static_cast<uint16_t>(crc32c(crc, tail));
  }
  // Under gdt_csum the field itself is skipped, not taken as zero.
  uint16_t crc = crc16(0xFFFF, std::as_bytes(std::span(super.s_uuid)));
  crc = crc16(crc16(crc, bytes_of(group.value)), head);
  return crc16(crc, tail);
}

uint32_t bitmap_checksum(const Geometry& g, Bytes bitmap, uint32_t bits) {
  const uint32_t crc = crc32c(g.csum_seed, bitmap.first(bits / 8));
  return g.desc_size >= EXT2_MIN_DESC_SIZE_64BIT ? crc : crc & 0xFFFF;
}

uint32_t inode_seed(const Geometry& g, InodeNo ino, uint32_t generation) {
  return crc32c_of(crc32c_of(g.csum_seed, ino.value), generation);
}

bool has_checksum_hi(const Geometry& g, Bytes raw) {
  return g.inode_size > EXT2_GOOD_OLD_INODE_SIZE && load<uint16_t>(raw, offsetof(ext2_inode_large, i_extra_isize)) >=
                                                        kInodeChecksumHi + sizeof(uint16_t) - EXT2_GOOD_OLD_INODE_SIZE;
}

uint32_t inode_checksum(const Geometry& g, InodeNo ino, Bytes raw) {
  const uint32_t seed = inode_seed(g, ino, load<uint32_t>(raw, offsetof(ext2_inode, i_generation)));
  const bool hi = has_checksum_hi(g, raw);
  // The two fields are taken as zero. Only the words they are in are copied: a whole copy with two bytes changed is read
  // in wider pieces than it was written in, and the processor waits for it, 180 ns an inode.
  constexpr size_t kWord = sizeof(uint64_t), kFirst = kInodeChecksumLo / kWord * kWord;
  static_assert(kInodeChecksumHi / kWord * kWord == kFirst + kWord);
  const auto without = [&](size_t at, size_t field) { return load<uint64_t>(raw, at) & ~(uint64_t{0xFFFF} << (field - at) * 8); };
  uint32_t crc = crc32c(seed, raw.first(kFirst));
  crc = crc32c_of(crc, without(kFirst, kInodeChecksumLo));
  if (raw.size() <= kFirst + kWord) return crc & 0xFFFF;
  crc = crc32c_of(crc, hi ? without(kFirst + kWord, kInodeChecksumHi) : load<uint64_t>(raw, kFirst + kWord));
  crc = crc32c(crc, raw.subspan(kFirst + 2 * kWord));
  return hi ? crc : crc & 0xFFFF;
}

uint32_t stored_inode_checksum(const Geometry& g, Bytes raw) {
  uint32_t stored = load<uint16_t>(raw, kInodeChecksumLo);
  if (has_checksum_hi(g, raw)) stored |= uint32_t{load<uint16_t>(raw, kInodeChecksumHi)} << 16;
  return stored;
}

bool fits_inode_checksum(const Geometry& g, InodeNo ino, Bytes raw) {
  return !g.metadata_csum() || stored_inode_checksum(g, raw) == inode_checksum(g, ino, raw);
}

InodeNo sealed_inode_number(const Geometry& g, Bytes raw) {
  if (!g.metadata_csum() || !has_checksum_hi(g, raw)) return InodeNo();
  std::vector<std::byte> bytes(raw.begin(), raw.end());
  store(bytes, kInodeChecksumLo, kZero);
  store(bytes, kInodeChecksumHi, kZero);
  uint32_t crc = crc32c_before(stored_inode_checksum(g, raw), bytes);
  crc = crc32c_before(crc, raw.subspan(offsetof(ext2_inode, i_generation), sizeof(uint32_t)));
  // Over one word, a CRC of that width depends on seed ^ word alone.
  return InodeNo(crc32c_before(crc, bytes_of(uint32_t{0})) ^ g.csum_seed);
}

void seal_inode(const Geometry& g, InodeNo ino, MutableBytes raw) {
  if (!g.metadata_csum()) return;
  const uint32_t crc = inode_checksum(g, ino, raw);
  store(raw, kInodeChecksumLo, static_cast<uint16_t>(crc));
  if (has_checksum_hi(g, raw)) store(raw, kInodeChecksumHi, static_cast<uint16_t>(crc >> 16));
}

size_t extent_tail_offset(Bytes block) {
  return sizeof(ext3_extent_header) + sizeof(ext3_extent) * load<ext3_extent_header>(block).eh_max;
}

uint32_t extent_block_checksum(uint32_t seed, Bytes block) { return crc32c(seed, block.first(extent_tail_offset(block))); }

uint32_t extent_block_seed(Bytes block) {
  const size_t tail = extent_tail_offset(block);
  return crc32c_before(load<uint32_t>(block, tail), block.first(tail));
}

uint32_t ea_block_checksum(const Geometry& g, BlockNo block, Bytes bytes) {
  constexpr size_t kField = offsetof(ext2_ext_attr_header, h_checksum);
  uint32_t crc = crc32c_of(g.csum_seed, block.value);
  crc = crc32c(crc, bytes.first(kField));
  crc = crc32c_of(crc, uint32_t{0});
  return crc32c(crc, bytes.subspan(kField + sizeof(uint32_t)));
}

BlockNo sealed_ea_block(const Geometry& g, Bytes bytes) {
  constexpr size_t kField = offsetof(ext2_ext_attr_header, h_checksum);
  uint32_t crc = crc32c_before(load<uint32_t>(bytes, kField), bytes.subspan(kField + sizeof(uint32_t)));
  crc = crc32c_before(crc, bytes_of(uint32_t{0}));
  crc = crc32c_before(crc, bytes.first(kField));
  crc = crc32c_before(crc, bytes_of(uint32_t{0}));  // the upper half of the number
  return BlockNo(crc32c_before(crc, bytes_of(uint32_t{0})) ^ g.csum_seed);
}

}  // namespace extscrub
