#include "scan/filesystem/table_search.h"

#include <algorithm>

#include "scan/filesystem/inode_table.h"
#include "scan/filesystem/reserved_inodes.h"
#include "scan/format/checksum.h"
#include "scan/format/inode.h"
#include "scan/format/superblock.h"

namespace extscrub {

namespace {

constexpr uint32_t kEnoughInodes = 512;   // that say the same
constexpr uint64_t kEnoughBlanks = 4096;  // inodes: tables are filled from their begin

// What `.` says in the first block of a directory; nothing where there is no such block.
std::optional<InodeNo> self_of(const FileSystem& fs, const Inode& inode, MutableBytes block) {
  const Geometry& g = fs.geometry;
  const Bytes area = inode.block_area();
  BlockNo at(load<uint32_t>(area));
  if (inode.is(EXT4_EXTENTS_FL)) {
    const auto header = load<ext3_extent_header>(area);
    if (header.eh_magic != EXT3_EXT_MAGIC || header.eh_depth != 0 || header.eh_entries == 0) return {};
    const auto first = load<ext3_extent>(area, sizeof header);
    if (first.ee_block != 0) return {};
    at = BlockNo(first.ee_start | uint64_t{first.ee_start_hi} << 32);
  }
  if (!g.contains(at) || !fs.blocks->read(at, block)) return {};
  const bool dot = load<uint16_t>(block, 4) == 12 && std::to_integer<uint8_t>(block[6]) == 1 && block[8] == std::byte{'.'};
  if (!dot) return {};
  return InodeNo(load<uint32_t>(block));
}

// 32 bits of checksum over its bytes and its number: that it lies here is proven.
bool is_sealed_for_place(const Geometry& g, const Inode& inode) {
  return !inode.is_blank() && has_checksum_hi(g, inode.raw()) && is_vouched_for(g, inode.number(), inode.raw());
}

}  // namespace

bool holds_no_inodes(const FileSystem& fs, GroupNo group, BlockNo at, uint32_t inodes) {
  const Geometry& g = fs.geometry;
  std::vector<std::byte> block(g.block_size);
  uint32_t good = 0, bad = 0;
  for (uint32_t i = 0; i < inodes; ++i) {
    const uint64_t offset = uint64_t{i} * g.inode_size;
    if (offset % g.block_size == 0 && !fs.blocks->read(at + (offset >> g.block_bits), block)) return false;
    const Inode inode(g, g.group_first_inode(group) + i, Bytes(block).subspan(offset % g.block_size, g.inode_size));
    if (inode.is_blank()) continue;
    if (is_sealed_for_place(g, inode)) return false;
    ++(may_be_inode(g, inode) ? good : bad);
  }
  constexpr uint32_t kFew = 8, kBadForOneGood = 4;
  return bad >= std::min(kFew, inodes) && good * kBadForOneGood <= bad;
}

bool has_proven_inode(const FileSystem& fs, GroupNo group, BlockNo at) {
  const Geometry& g = fs.geometry;
  if (!g.metadata_csum()) return !holds_no_inodes(fs, group, at, g.inodes_per_group);
  std::vector<std::byte> block(g.block_size);
  for (uint32_t i = 0; i < g.inodes_per_group; ++i) {
    const uint64_t offset = uint64_t{i} * g.inode_size;
    if (offset % g.block_size == 0 && !fs.blocks->read(at + (offset >> g.block_bits), block)) return false;
    const Inode inode(g, g.group_first_inode(group) + i, Bytes(block).subspan(offset % g.block_size, g.inode_size));
    if (is_sealed_for_place(g, inode)) return true;
  }
  return false;
}

bool has_root(const FileSystem& fs) {
  const Geometry& g = fs.geometry;
  const InodeNo root(EXT2_ROOT_INO);
  std::vector<std::byte> raw(g.inode_size), block(g.block_size);
  if (!valid_location(g, GroupNo(), fs.groups[0].inode_table, g.itable_blocks) || !read_inode(fs, root, raw)) return false;
  const Inode inode(g, root, raw);
  if (inode.type() != FileType::directory) return false;
  if (g.metadata_csum()) return fits_inode_checksum(g, root, raw);
  return self_of(fs, inode, block) == root;
}

Evidence table_evidence(const FileSystem& fs, GroupNo group, BlockNo at) {
  const Geometry& g = fs.geometry;
  std::vector<std::byte> block(g.block_size), directory(g.block_size);
  uint32_t good = 0, bad = 0, proven = 0;
  for (uint32_t i = 0; i < g.inodes_per_group && good + bad < kEnoughInodes; ++i) {
    if (good + bad == 0 && i >= kEnoughBlanks) break;
    const uint64_t offset = uint64_t{i} * g.inode_size;
    if (offset % g.block_size == 0 && !fs.blocks->read(at + (offset >> g.block_bits), block)) return Evidence::against;
    const Bytes raw = Bytes(block).subspan(offset % g.block_size, g.inode_size);
    const InodeNo ino = g.group_first_inode(group) + i;
    const Inode inode(g, ino, raw);
    // Without checksums the root alone says whose table it is; with them it may be damaged like any other inode.
    if (ino.value == EXT2_ROOT_INO && inode.type() != FileType::directory && !g.metadata_csum()) return Evidence::against;
    if (inode.is_blank()) continue;
    if (inode.base().i_links_count > 0 && is_sealed_for_place(g, inode)) ++proven;
    const bool sealed = fits_inode_checksum(g, ino, raw);
    const bool reserved = ino.value < g.first_inode;
    if (!sealed || (!reserved && !g.metadata_csum() && !may_be_inode(g, inode))) {
      ++bad;
    } else if (inode.base().i_links_count > 0) {
      // Without a checksum, with its number in it, a directory is what tells one group's inodes from another's.
      const bool ask = !g.metadata_csum() && inode.type() == FileType::directory;
      const auto self = ask ? self_of(fs, inode, directory) : std::nullopt;
      constexpr uint32_t kOthers = 8;
      if (self && *self != ino)
        bad += kOthers;
      else
        ++good;
    }
  }
  if (good == 0 && bad == 0) return Evidence::none;
  constexpr uint32_t kGoodForOneBad = 8;
  return proven > 0 || (good > 0 && bad * kGoodForOneBad <= good) ? Evidence::for_it : Evidence::against;
}

Evidence bitmap_evidence(const FileSystem& fs, GroupNo group, MetadataKind kind, const GroupDesc& d, BlockNo at) {
  const Geometry& g = fs.geometry;
  const bool of_blocks = kind == MetadataKind::block_bitmap;
  std::vector<std::byte> block(g.block_size);
  if (!fs.blocks->read(at, block)) return Evidence::against;
  if (g.group_csum() && (of_blocks ? d.block_uninit() : d.inode_uninit())) return Evidence::none;
  if (g.metadata_csum()) {
    const uint32_t bits = of_blocks ? g.clusters_per_group : g.inodes_per_group;
    if (bitmap_checksum(g, block, bits) == (of_blocks ? d.block_bitmap_csum : d.inode_bitmap_csum)) return Evidence::for_it;
  }
  const auto valid = of_blocks ? static_cast<uint32_t>(g.clusters(group)) : g.inodes_per_group;
  for (uint32_t i = valid; i < g.block_size * 8; ++i)
    if (!test_bit(block, i)) return Evidence::against;
  uint32_t free = 0;
  for (uint32_t i = 0; i < valid; ++i) free += !test_bit(block, i);
  if (of_blocks) {
    // What begins the group is never free.
    for (uint32_t i = 0; i < g.super_and_desc_blocks(group); ++i)
      if (const uint32_t c = i >> g.cluster_bits; c < valid && !test_bit(block, c)) return Evidence::against;
  } else if (group.value == 0) {
    for (uint32_t i = 0; i + 1 < g.first_inode; ++i)
      if (!test_bit(block, i)) return Evidence::against;
  }
  return free == (of_blocks ? d.free_clusters : d.free_inodes) ? Evidence::for_it : Evidence::none;
}

bool is_vacant(const FileSystem& fs, GroupNo group, MetadataKind kind, BlockNo first, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i)
    if (const MetadataExtent* e = fs.metadata.find(first + i); e && !(e->kind == kind && e->group == group)) return false;
  return true;
}

std::optional<BlockNo> find_table(const FileSystem& fs, GroupNo group, std::span<const std::vector<GroupDesc>> copies) {
  const Geometry& g = fs.geometry;
  const GroupDesc& d = fs.groups[group.value];
  std::vector<BlockNo> guesses;
  for (const auto& copy : copies)
    if (copy[group.value].readable) guesses.push_back(copy[group.value].inode_table);
  // Behind the group's bitmaps, or behind the table of the group before, or in front of that of the group behind.
  guesses.push_back(g.group_first(group) + g.super_and_desc_blocks(group) + 2);
  guesses.push_back(d.inode_bitmap + 1);
  if (group.value > 0) guesses.push_back(fs.groups[group.value - 1].inode_table + g.itable_blocks);
  if (group.value + 1 < g.groups) {
    const BlockNo next = fs.groups[group.value + 1].inode_table;
    if (next.value > g.itable_blocks) guesses.emplace_back(next.value - g.itable_blocks);
  }
  // With flex_bg the bitmaps of several groups come before their tables, or the room for them.
  if (const uint32_t flex = fs.super.s_log_groups_per_flex; flex > 0 && flex < 32) {
    guesses.push_back(d.inode_bitmap + std::min(g.groups, 1u << flex));
    guesses.push_back(d.inode_bitmap + (1u << flex));
  }
  const auto fits = [&](BlockNo at) {
    return at != d.inode_table && valid_location(g, group, at, g.itable_blocks) && looks_like_table(fs, group, at) &&
           is_vacant(fs, group, MetadataKind::inode_table, at, g.itable_blocks);
  };
  for (const BlockNo at : guesses)
    if (fits(at)) return at;
  // The first table is known by the root directory in its first block, and by the checksums not to be another image's.
  if (group.value != 0 || !g.metadata_csum()) return {};
  for (BlockNo at = g.group_first(group); at < g.group_first(group) + g.blocks_per_group && g.contains(at); ++at)
    if (fits(at)) return at;
  return {};
}

namespace {

// The superblock beside the copies is one of this file system, as it is now.
bool is_backup_of(const FileSystem& fs, GroupNo group) {
  const auto copy = read_superblock(fs, group);
  if (!copy || copy->s_magic != EXT2_SUPER_MAGIC || copy->s_blocks_count != fs.super.s_blocks_count) return false;
  return has_right_checksum(*copy);
}

}  // namespace

std::vector<std::vector<GroupDesc>> descriptor_copies(const FileSystem& fs, size_t most) {
  std::vector<std::vector<GroupDesc>> copies;
  for (GroupNo group(1); group.value < fs.geometry.groups && copies.size() < most; ++group)
    if (fs.geometry.has_super(group) && is_backup_of(fs, group)) copies.push_back(read_descriptors(fs, group));
  return copies;
}

}  // namespace extscrub
