// A fault for every field of a group descriptor, of 64 bytes and of 32, and of the bitmaps that it names.

#include "scan/format/checksum.h"
#include "tests/support/catch.h"
#include "tests/tables/images.h"

namespace extscrub::test {

namespace {

using enum Problem;

// Group 0 is full of files. Group 1 has files' inodes, but none of their blocks: its block bitmap is not there yet.
template <uint32_t kGroup>
Spot descriptor_spot(const TestImage& image) {
  return {image.descriptor_offset(kGroup)};
}

template <uint32_t kGroup>
void seal_descriptor(const SealedSpot& at) {
  std::vector<std::byte> raw(at.geometry.desc_size);
  at.image.read(at.spot.at, raw);
  at.image.poke(at.spot.at + offsetof(ext2_group_desc, bg_checksum),
                extscrub::group_desc_checksum(at.geometry, at.image.superblock(), GroupNo(kGroup), raw));
}

std::vector<FieldRow> rows_of_both_sizes() {
  return {
      {"bg_block_bitmap_lo", 0x00, 4, {0, 1, add(1), ~0u}, safe(group_block_bitmap_location)},
      {"bg_inode_bitmap_lo", 0x04, 4, {0, 1, add(1), ~0u}, safe(group_inode_bitmap_location)},
      {"bg_inode_table_lo", 0x08, 4, {0, 1, ~0u}, safe(group_inode_table_location)},
      {"bg_free_blocks_count_lo", 0x0C, 2, {0, add(1), 0xFFFF}, safe(group_free_blocks)},
      {"bg_free_inodes_count_lo", 0x0E, 2, {add(1), 0xFFFF}, safe(group_free_inodes)},
      {"bg_used_dirs_count_lo", 0x10, 2, {add(1), 0xFFFF}, safe(group_used_dirs)},
      {"bg_flags: INODE_UNINIT", 0x12, 2, {flip(1)}, lossy_as_it_hides(entry_inode_uninit)},
      {"bg_flags", 0x12, 2, {flip(4), flip(8), flip(0x8000)}, unseen("whether the table was zeroed; other bits nobody knows")},
      {"bg_exclude_bitmap_lo", 0x14, 4, {1, ~0u}, unseen(kNeverCame)},
      {"bg_itable_unused_lo", 0x1C, 2, {0xFFFF}, safe(group_itable_unused)},
  };
}

}  // namespace

TEST_CASE("a fault for every field of a group descriptor of 64 bytes", "[fields]") {
  const FieldTable table = {"descriptor of 64 bytes",      64, small_ext4, descriptor_spot<0>, seal_descriptor<0>,
                            {Problem::group_desc_checksum}};
  std::vector<FieldRow> rows = rows_of_both_sizes();
  const FieldRow more[] = {
      {"bg_block_bitmap_csum_lo", 0x18, 2, {0, flip(1)}, safe(block_bitmap_checksum)},
      {"bg_inode_bitmap_csum_lo", 0x1A, 2, {0, flip(1)}, safe(inode_bitmap_checksum)},
      {"bg_block_bitmap_hi", 0x20, 4, {1, ~0u}, safe(group_block_bitmap_location)},
      {"bg_inode_bitmap_hi", 0x24, 4, {1, ~0u}, safe(group_inode_bitmap_location)},
      {"bg_inode_table_hi", 0x28, 4, {1, ~0u}, safe(group_inode_table_location)},
      {"bg_free_blocks_count_hi", 0x2C, 2, {1, 0xFFFF}, safe(group_free_blocks)},
      {"bg_free_inodes_count_hi", 0x2E, 2, {1, 0xFFFF}, safe(group_free_inodes)},
      {"bg_used_dirs_count_hi", 0x30, 2, {1, 0xFFFF}, safe(group_used_dirs)},
      {"bg_itable_unused_hi", 0x32, 2, {1, 0xFFFF}, safe(group_itable_unused)},
      {"bg_exclude_bitmap_hi", 0x34, 4, {1, ~0u}, unseen(kNeverCame)},
      {"bg_block_bitmap_csum_hi", 0x38, 2, {0, flip(1)}, safe(block_bitmap_checksum)},
      {"bg_inode_bitmap_csum_hi", 0x3A, 2, {0, flip(1)}, safe(inode_bitmap_checksum)},
      {"bg_reserved", 0x3C, 4, {1, ~0u}, unseen("nobody reads it")},
  };
  rows.insert(rows.end(), std::begin(more), std::end(more));
  rows.push_back({"bg_block_bitmap_lo: a free block", 0x00, 4, {600}, safe(group_block_bitmap_location)});
  rows.push_back({"bg_inode_bitmap_lo: a free block", 0x04, 4, {600}, safe(group_inode_bitmap_location)});
  rows.push_back({"bg_flags: BLOCK_UNINIT", 0x12, 2, {flip(2)}, safe(block_bitmap_mismatch)});
  rows.push_back({"bg_checksum", 0x1E, 2, {flip(1)}, unseen(kSealedAgain)});
  check_fields(table, rows);
}

TEST_CASE("a fault for every field of a group descriptor of 32 bytes", "[fields]") {
  const FieldTable table = {"descriptor of 32 bytes",      32, small_ext4_32, descriptor_spot<1>, seal_descriptor<1>,
                            {Problem::group_desc_checksum}};
  std::vector<FieldRow> rows = rows_of_both_sizes();
  rows.push_back({"bg_block_bitmap_lo: a free block", 0x00, 4, {600}, safe(group_desc_backup)});
  rows.push_back({"bg_flags: BLOCK_UNINIT", 0x12, 2, {flip(2)}, safe(block_bitmap_mismatch)});
  rows.push_back({"bg_block_bitmap_csum_lo, bg_inode_bitmap_csum_lo",
                  0x18,
                  4,
                  {1, ~0u},
                  unseen("without metadata_csum bitmaps have no checksum")});
  rows.push_back({"bg_checksum", 0x1E, 2, {flip(1)}, unseen(kSealedAgain)});
  check_fields(table, rows);
}

TEST_CASE("a fault for every part of a bitmap", "[fields]") {
  // 1024 blocks a group: 128 bytes of the block mean something; 40 inodes are 5 bytes.
  const FieldTable blocks = {"block bitmap", 1024, small_ext4,
                             [](const TestImage& image) { return Spot{image.offset(image.block_bitmap(0))}; }};
  check_fields(blocks, {{"bits", 0, 4, {0, flip(1), flip(0x80000000)}, safe(block_bitmap_mismatch)},
                        {"bits", 4, 124, {fill(0xFF)}, safe(block_bitmap_mismatch)},
                        {"padding", 128, 896, {fill(0), flip(1)}, safe(block_bitmap_padding)}});
  const FieldTable inodes = {"inode bitmap", 1024, small_ext4,
                             [](const TestImage& image) { return Spot{image.offset(image.inode_bitmap(0))}; }};
  check_fields(inodes, {{"bits", 0, 5, {0, flip(1), flip(0x8000000000)}, safe(inode_bitmap_mismatch)},
                        {"padding", 5, 1019, {fill(0), flip(1)}, safe(inode_bitmap_padding)}});
}

}  // namespace extscrub::test
