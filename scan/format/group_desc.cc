#include "scan/format/group_desc.h"

#include "scan/format/checksum.h"

namespace extscrub {

namespace {

// The descriptor widened to the 64-byte form; what a 32-byte one lacks is zero.
ext4_group_desc widen(const Geometry& g, Bytes raw) {
  ext4_group_desc d{};
  std::memcpy(&d, raw.data(), std::min<size_t>(g.desc_size, sizeof d));
  return d;
}

uint64_t join(uint32_t hi, uint32_t lo) { return uint64_t{hi} << 32 | lo; }
uint32_t join16(uint16_t hi, uint16_t lo) { return uint32_t{hi} << 16 | lo; }

}  // namespace

GroupDesc decode_group_desc(const Geometry& g, const ext2_super_block& super, GroupNo group, Bytes raw) {
  const ext4_group_desc d = widen(g, raw);
  GroupDesc out;
  out.block_bitmap = BlockNo(join(d.bg_block_bitmap_hi, d.bg_block_bitmap));
  out.inode_bitmap = BlockNo(join(d.bg_inode_bitmap_hi, d.bg_inode_bitmap));
  out.inode_table = BlockNo(join(d.bg_inode_table_hi, d.bg_inode_table));
  out.free_clusters = join16(d.bg_free_blocks_count_hi, d.bg_free_blocks_count);
  out.free_inodes = join16(d.bg_free_inodes_count_hi, d.bg_free_inodes_count);
  out.used_dirs = join16(d.bg_used_dirs_count_hi, d.bg_used_dirs_count);
  out.itable_unused = join16(d.bg_itable_unused_hi, d.bg_itable_unused);
  out.block_bitmap_csum = join16(d.bg_block_bitmap_csum_hi, d.bg_block_bitmap_csum_lo);
  out.inode_bitmap_csum = join16(d.bg_inode_bitmap_csum_hi, d.bg_inode_bitmap_csum_lo);
  out.flags = d.bg_flags;
  out.checksum = d.bg_checksum;
  out.checksum_ok = !g.group_csum() || d.bg_checksum == group_desc_checksum(g, super, group, raw);
  return out;
}

void encode_group_desc(const Geometry& g, const ext2_super_block& super, GroupNo group, const GroupDesc& desc, MutableBytes raw) {
  ext4_group_desc d = widen(g, raw);
  const auto split = [](uint32_t value, auto& lo, auto& hi) {
    lo = static_cast<uint16_t>(value);
    hi = static_cast<uint16_t>(value >> 16);
  };
  const auto split_block = [](BlockNo block, auto& lo, auto& hi) {
    lo = static_cast<uint32_t>(block.value);
    hi = static_cast<uint32_t>(block.value >> 32);
  };
  split_block(desc.block_bitmap, d.bg_block_bitmap, d.bg_block_bitmap_hi);
  split_block(desc.inode_bitmap, d.bg_inode_bitmap, d.bg_inode_bitmap_hi);
  split_block(desc.inode_table, d.bg_inode_table, d.bg_inode_table_hi);
  split(desc.free_clusters, d.bg_free_blocks_count, d.bg_free_blocks_count_hi);
  split(desc.free_inodes, d.bg_free_inodes_count, d.bg_free_inodes_count_hi);
  split(desc.used_dirs, d.bg_used_dirs_count, d.bg_used_dirs_count_hi);
  split(desc.itable_unused, d.bg_itable_unused, d.bg_itable_unused_hi);
  if (g.metadata_csum()) {
    split(desc.block_bitmap_csum, d.bg_block_bitmap_csum_lo, d.bg_block_bitmap_csum_hi);
    split(desc.inode_bitmap_csum, d.bg_inode_bitmap_csum_lo, d.bg_inode_bitmap_csum_hi);
  }
  d.bg_flags = desc.flags;
  std::memcpy(raw.data(), &d, std::min<size_t>(g.desc_size, sizeof d));
  if (g.group_csum()) store(raw, offsetof(ext4_group_desc, bg_checksum), group_desc_checksum(g, super, group, raw));
}

}  // namespace extscrub
