// Damage to block and inode bitmaps.
#include <fmt/format.h>

#include "tests/damage/scenario.h"

namespace extscrub::test {

namespace {

using enum Problem;

const std::vector<Problem> kBlockCounts = {group_free_blocks, superblock_free_blocks};
const std::vector<Problem> kInodeCounts = {group_free_inodes, superblock_free_inodes};

// Changes two bytes in the descriptor of group 0, whose bitmaps are in use, and seals the descriptor again.
void spoil_bitmap_checksum(const TestImage& image, size_t field_offset) {
  const uint64_t at = image.descriptor_offset(0) + field_offset;
  image.poke<uint16_t>(at, image.peek<uint16_t>(at) ^ 0x1111);
  image.debugfs("set_bg 0 checksum calc", true);
}

const Scenario kBitmapScenarios[] = {
    {inodes_lost,
     "inode in use is blank",
     "ext4-1k",
     [](const TestImage& image) {
       const uint32_t inode = image.inode_of("/three");
       image.debugfs(fmt::format("clri <{}>", inode));
       return Place{.group = (inode - 1) / image.superblock().s_inodes_per_group};
     },
     {entry_inode_unused, inode_bitmap_mismatch, block_bitmap_mismatch, group_free_inodes, group_free_blocks,
      superblock_free_inodes, superblock_free_blocks}},
    {names_lost,
     "directory with files is blank, and so are they",
     "ext4-1k",
     [](const TestImage& image) {
       const uint64_t block = image.block_of("/dir");
       for (const char* path : {"/dir/file1", "/dir/file2", "/dir"}) image.debugfs(fmt::format("clri {}", path));
       return Place{.block = block};
     },
     {inodes_lost, entry_inode_unused, inode_unattached, directory_unconnected, inode_links, inode_bitmap_mismatch,
      block_bitmap_mismatch, group_free_inodes, group_free_blocks, group_used_dirs, superblock_free_inodes,
      superblock_free_blocks}},
    {block_bitmap_checksum, "stored checksum of a block bitmap changed", "ext4-noflex",
     [](const TestImage& image) {
       spoil_bitmap_checksum(image, offsetof(ext4_group_desc, bg_block_bitmap_csum_lo));
       return Place{.group = 0};
     }},
    {inode_bitmap_checksum, "stored checksum of an inode bitmap changed", "ext4-noflex",
     [](const TestImage& image) {
       spoil_bitmap_checksum(image, offsetof(ext4_group_desc, bg_inode_bitmap_csum_lo));
       return Place{.group = 0};
     }},
    {block_bitmap_mismatch, "blocks of a file are marked free", "ext4-1k",
     [](const TestImage& image) {
       const uint64_t block = image.block_of("/big", 3);
       image.debugfs(fmt::format("freeb {} 5", block));
       return Place{.group = 0, .block = block + 4};
     },
     kBlockCounts},
    {block_bitmap_mismatch, "free blocks are marked in use", "ext2-1k",
     [](const TestImage& image) {
       image.debugfs("setb 10000 200");
       return Place{.group = 1, .block = 10100};
     },
     kBlockCounts},
    {block_bitmap_mismatch, "inode table is marked free", "ext4-plain",
     [](const TestImage& image) {
       const uint64_t block = image.descriptor(1).bg_inode_table + 7;
       image.debugfs(fmt::format("freeb {} 2", block));
       return Place{.group = 0, .block = block};
     },
     kBlockCounts},
    {block_bitmap_mismatch, "cluster of a file is marked free", "ext4-bigalloc",
     [](const TestImage& image) {
       const uint64_t block = image.block_of("/big", 32);
       image.debugfs(fmt::format("freeb {} 1", block));
       return Place{.group = 0, .block = block};
     },
     kBlockCounts},
    {block_bitmap_mismatch,
     "a bit of a block bitmap is flipped under its checksum",
     "ext4-noflex",
     [](const TestImage& image) {
       const uint64_t at = image.offset(image.block_bitmap(0)) + 1000;
       image.poke<uint8_t>(at, image.peek<uint8_t>(at) ^ 1);
       return Place{.group = 0, .block = 1 + 1000 * 8};
     },
     {block_bitmap_checksum, group_free_blocks, superblock_free_blocks}},
    {inode_bitmap_mismatch, "inode of a file is marked free", "ext4-1k",
     [](const TestImage& image) {
       const uint32_t inode = image.inode_of("/three");
       image.debugfs("freei /three");
       return Place{.group = 0, .inode = inode};
     },
     kInodeCounts},
    {inode_bitmap_mismatch, "free inode is marked in use", "ext2-4k",
     [](const TestImage& image) {
       image.debugfs("seti <2000>");
       return Place{.group = 1, .inode = 2000};
     },
     kInodeCounts},
    {block_bitmap_padding, "padding of the last block bitmap is zero", "ext4-plain",
     [](const TestImage& image) {
       image.poke<uint8_t>(image.offset(image.block_bitmap(3)) + 1020, 0);
       return Place{.group = 3};
     }},
    {inode_bitmap_padding, "padding of an inode bitmap is zero", "ext4-plain",
     [](const TestImage& image) {
       image.poke<uint8_t>(image.offset(image.inode_bitmap(0)) + 1000, 0);
       return Place{.group = 0};
     }},
};

}  // namespace

std::span<const Scenario> bitmap_damage() { return kBitmapScenarios; }

}  // namespace extscrub::test
