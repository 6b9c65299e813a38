// Damage to extent trees and indirect maps.
#include <fmt/format.h>

#include <functional>

#include "tests/damage/scenario.h"

namespace extscrub::test {

namespace {

using enum Problem;

// A map that is read in part only, or differently, leaves other things wrong behind it.
const std::vector<Problem> kBlocksMoved = {
    inode_blocks, inode_size, block_bitmap_mismatch, group_free_blocks, superblock_free_blocks, block_multiply_claimed};

using Extent = ext3_extent;
using Index = ext3_extent_idx;

// Leaves and inner nodes have entries of one size.
uint64_t entry_offset(uint64_t node, unsigned number) {
  static_assert(sizeof(Extent) == sizeof(Index));
  return node + sizeof(ext3_extent_header) + number * sizeof(Extent);
}

// Changes an entry (an Extent or an Index) of the root in the file's inode.
template <class Entry>
Place change_root(const TestImage& image, const std::string& file, unsigned number, const std::function<void(Entry&)>& change) {
  const uint32_t inode = image.inode_of(file);
  image.patch<Entry>(entry_offset(image.map_offset(inode), number), change);
  return Place{.inode = inode};
}

// The block of the node below the first entry of the root in the file's inode.
uint64_t first_child(const TestImage& image, const std::string& file) {
  return image.peek<Index>(entry_offset(image.map_offset(image.inode_of(file)), 0)).ei_leaf;
}

Place set_block(const TestImage& image, const std::string& file, std::string_view slot, uint64_t block) {
  const uint32_t inode = image.inode_of(file);
  image.debugfs(fmt::format("sif <{}> block[{}] {}", inode, slot, block));
  return Place{.inode = inode};
}

const Scenario kMapScenarios[] = {
    {extent_header, "root of an extent tree without its magic number", "ext4-plain",
     [](const TestImage& image) {
       const uint32_t inode = image.inode_of("/runs3");
       image.poke<uint16_t>(image.map_offset(inode), 0);
       return Place{.inode = inode};
     },
     kBlocksMoved},
    {extent_header, "leaf with more entries than fit", "ext4-plain",
     [](const TestImage& image) {
       const uint64_t leaf = first_child(image, "/runs10");
       image.patch<ext3_extent_header>(image.offset(leaf), [](auto& header) { header.eh_entries = 999; });
       return Place{.inode = image.inode_of("/runs10"), .block = leaf};
     },
     kBlocksMoved},
    {extent_header, "extent tree deeper than it can be", "ext4-plain",
     [](const TestImage& image) {
       const uint32_t inode = image.inode_of("/runs600");
       image.patch<ext3_extent_header>(image.map_offset(inode), [](auto& header) { header.eh_depth = 9; });
       return Place{.inode = inode};
     },
     kBlocksMoved},
    {extent_out_of_range, "extent behind the last block", "ext4-plain",
     [](const TestImage& image) {
       return change_root<Extent>(image, "/runs3", 1, [](Extent& extent) { extent.ee_start = 0x7ffffff0; });
     },
     kBlocksMoved},
    {extent_out_of_range, "extent whose end lies behind the last block", "ext4-plain",
     [](const TestImage& image) {
       const uint32_t blocks = image.superblock().s_blocks_count;
       return change_root<Extent>(image, "/runs3", 1, [&](Extent& extent) { extent.ee_start = blocks - 1; });
     },
     kBlocksMoved},
    {extent_out_of_range, "index to a block before the first", "ext4-plain",
     [](const TestImage& image) { return change_root<Index>(image, "/runs10", 0, [](Index& index) { index.ei_leaf = 0; }); },
     kBlocksMoved},
    {extent_order, "extents in the wrong order", "ext4-plain",
     [](const TestImage& image) {
       change_root<Extent>(image, "/runs3", 0, [](Extent& extent) { extent.ee_block = 128; });
       return change_root<Extent>(image, "/runs3", 1, [](Extent& extent) { extent.ee_block = 0; });
     },
     kBlocksMoved},
    {extent_overlap, "extent leaf with overlapping logical ranges", "ext4-plain",
     [](const TestImage& image) { return change_root<Extent>(image, "/runs3", 1, [](Extent& extent) { extent.ee_block = 32; }); },
     kBlocksMoved},
    {extent_length_zero, "extent without a length", "ext4-plain",
     [](const TestImage& image) { return change_root<Extent>(image, "/runs3", 1, [](Extent& extent) { extent.ee_len = 0; }); },
     kBlocksMoved},
    {extent_too_far, "extent over the limit of logical blocks", "ext4-plain",
     [](const TestImage& image) {
       return change_root<Extent>(image, "/runs3", 2, [](Extent& extent) { extent.ee_block = 0xfffffff0; });
     },
     kBlocksMoved},
    {extent_index_mismatch,
     "index begins behind its child's first block",
     "ext4-plain",
     [](const TestImage& image) {
       const uint32_t inode = image.inode_of("/runs10");
       image.patch<Index>(entry_offset(image.map_offset(inode), 0), [](auto& index) { index.ei_block = 5; });
       return Place{.inode = inode};
     },
     {inode_blocks, inode_size, block_bitmap_mismatch, group_free_blocks, superblock_free_blocks, extent_overlap, extent_order}},
    {extent_index_mismatch, "second index of a deep tree begins too early", "ext4-plain",
     [](const TestImage& image) {
       const uint64_t node = first_child(image, "/runs600");
       image.patch<Index>(entry_offset(image.offset(node), 1), [](auto& index) { index.ei_block -= 4; });
       return Place{.inode = image.inode_of("/runs600")};
     },
     kBlocksMoved},
    {extent_node_empty, "leaf without entries", "ext4-plain",
     [](const TestImage& image) {
       const uint64_t leaf = first_child(image, "/runs10");
       image.patch<ext3_extent_header>(image.offset(leaf), [](auto& header) { header.eh_entries = 0; });
       return Place{.inode = image.inode_of("/runs10"), .block = leaf};
     },
     kBlocksMoved},
    {extent_checksum, "checksum of a leaf changed", "ext4-1k",
     [](const TestImage& image) {
       const uint64_t leaf = first_child(image, "/runs10");
       const uint64_t tail = image.offset(leaf + 1) - sizeof(ext3_extent_tail);
       image.poke<uint32_t>(tail, image.peek<uint32_t>(tail) ^ 1);
       return Place{.inode = image.inode_of("/runs10"), .block = leaf};
     }},
    {extent_checksum, "checksum of an index node changed", "ext4-seed",
     [](const TestImage& image) {
       const uint64_t node = first_child(image, "/runs600");
       const uint64_t tail = image.offset(node + 1) - sizeof(ext3_extent_tail);
       image.poke<uint32_t>(tail, image.peek<uint32_t>(tail) ^ 1);
       return Place{.inode = image.inode_of("/runs600"), .block = node};
     }},
    {block_multiply_claimed,
     "file on an inode table, where files may share their data",
     "ext4-plain",
     [](const TestImage& image) {
       image.debugfs("feature shared_blocks");
       const uint32_t table = image.descriptor(0).bg_inode_table;
       return change_root<Extent>(image, "/small", 0, [=](Extent& extent) { extent.ee_start = table + 50; });
     },
     {block_bitmap_mismatch, group_free_blocks, superblock_free_blocks, superblock_backup_bad}},
    {extent_cluster, "block at the wrong place of its cluster", "ext4-bigalloc",
     [](const TestImage& image) {
       const Place place = change_root<Extent>(image, "/small", 0, [](Extent& extent) { ++extent.ee_start; });
       image.debugfs(fmt::format("sif <{}> mtime @1700000000", *place.inode), true);  // seals the inode
       return place;
     }},
    {extent_cluster, "logical cluster in two physical ones", "ext4-bigalloc",
     [](const TestImage& image) {
       const uint32_t inode = image.inode_of("/runs3");
       const uint64_t root = image.map_offset(inode);
       image.patch<Extent>(entry_offset(root, 0), [](Extent& extent) { extent.ee_len = 56; });
       image.patch<Extent>(entry_offset(root, 1), [](Extent& extent) {
         extent.ee_block = 56;
         extent.ee_start += 8;
         extent.ee_len = 56;
       });
       image.debugfs(fmt::format("sif <{}> mtime @1700000000", inode), true);  // seals the inode
       return Place{.inode = inode};
     }},
    {map_by_block, "file with a map by block where there are clusters", "ext4-bigalloc",
     [](const TestImage& image) {
       const uint32_t inode = image.inode_of("/small");
       const uint64_t block = image.block_of("/small");
       std::array<uint32_t, EXT2_N_BLOCKS> map{static_cast<uint32_t>(block)};
       image.poke(image.map_offset(inode), map);
       image.debugfs(fmt::format("sif <{}> flags 0", inode), true);
       return Place{.inode = inode, .field = "i_flags"};
     }},
    {extent_unwritten_dir,
     "directory whose extent is unwritten",
     "ext4-plain",
     [](const TestImage& image) {
       return change_root<Extent>(image, "/dir", 0, [](Extent& extent) { extent.ee_len += EXT_INIT_MAX_LEN; });
     },
     {directory_unconnected, inode_unattached}},
    {indirect_out_of_range, "passive translator of the Hurd behind the last block", "ext2-1k",
     [](const TestImage& image) {
       image.debugfs("ssv creator_os 1");
       image.debugfs("sif /small translator 99999999");
       return Place{.inode = image.inode_of("/small"), .field = "i_translator"};
     }},
    {indirect_out_of_range, "direct block behind the last block", "ext2-1k",
     [](const TestImage& image) { return set_block(image, "/three", "1", 99999999); }, kBlocksMoved},
    {indirect_out_of_range, "entry of an indirect block behind the last block", "ext2-1k",
     [](const TestImage& image) {
       const uint32_t inode = image.inode_of("/big");
       const uint64_t indirect = image.peek<uint32_t>(image.map_offset(inode) + EXT2_IND_BLOCK * 4);
       image.poke<uint32_t>(image.offset(indirect) + 40, 0xfffffff0);
       return Place{.inode = inode};
     },
     kBlocksMoved},
    {indirect_out_of_range, "double-indirect block behind the last block", "ext4-noextents",
     [](const TestImage& image) { return set_block(image, "/big", "DIND", 99999999); }, kBlocksMoved},
    {indirect_too_big,
     "symbolic link with a second block",
     "ext2-1k",
     [](const TestImage& image) { return set_block(image, "/longlink", "1", 11000); },
     {inode_blocks, inode_size, inode_symlink, block_bitmap_mismatch, group_free_blocks, superblock_free_blocks}},
    {map_metadata_block,
     "indirect block is a block bitmap",
     "ext2-1k",
     [](const TestImage& image) { return set_block(image, "/big", "IND", image.block_bitmap(1)); },
     {inode_blocks, inode_size, block_bitmap_mismatch, group_free_blocks, superblock_free_blocks, block_multiply_claimed,
      indirect_out_of_range}},
    {map_metadata_block,
     "extent leaf lies in the inode table",
     "ext4-plain",
     [](const TestImage& image) {
       const uint32_t table = image.descriptor(1).bg_inode_table;
       return change_root<Index>(image, "/runs10", 0, [&](Index& index) { index.ei_leaf = table; });
     },
     {inode_blocks, inode_size, block_bitmap_mismatch, group_free_blocks, superblock_free_blocks, block_multiply_claimed,
      extent_header}},
    {map_loop, "double-indirect block lists itself", "ext2-1k",
     [](const TestImage& image) {
       const uint32_t inode = image.inode_of("/big");
       const uint32_t dind = image.peek<uint32_t>(image.map_offset(inode) + EXT2_DIND_BLOCK * 4);
       image.poke<uint32_t>(image.offset(dind), dind);
       return Place{.inode = inode, .block = dind};
     },
     kBlocksMoved},
    {map_loop,
     "extent index lists its own block",
     "ext4-plain",
     [](const TestImage& image) {
       const uint64_t node = first_child(image, "/runs600");
       image.patch<Index>(entry_offset(image.offset(node), 1), [&](auto& index) { index.ei_leaf = static_cast<uint32_t>(node); });
       return Place{.inode = image.inode_of("/runs600"), .block = node};
     },
     {inode_blocks, inode_size, block_bitmap_mismatch, group_free_blocks, superblock_free_blocks, block_multiply_claimed,
      extent_header, extent_index_mismatch}},
    {block_multiply_claimed,
     "two files with the same block",
     "ext2-1k",
     [](const TestImage& image) {
       const uint64_t block = image.block_of("/other");
       set_block(image, "/small", "0", block);
       return Place{.block = block};
     },
     {block_bitmap_mismatch, group_free_blocks, superblock_free_blocks}},
    {block_multiply_claimed, "two extents of one file at the same place", "ext4-plain",
     [](const TestImage& image) {
       const uint64_t block = image.block_of("/runs3");
       change_root<Extent>(image, "/runs3", 1, [&](Extent& extent) { extent.ee_start = block; });
       return Place{.block = block + 63};
     },
     kBlocksMoved},
    {block_multiply_claimed,
     "file lies on an inode table",
     "ext4-plain",
     [](const TestImage& image) {
       const uint64_t block = image.descriptor(0).bg_inode_table + 200;
       const Place place = change_root<Extent>(image, "/small", 0, [&](Extent& extent) { extent.ee_start = block; });
       return Place{.inode = place.inode, .block = block};
     },
     {block_bitmap_mismatch, group_free_blocks, superblock_free_blocks}},
};

}  // namespace

std::span<const Scenario> map_damage() { return kMapScenarios; }

}  // namespace extscrub::test
