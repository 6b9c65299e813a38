#include "audit/edit/inode_allocator.h"

#include <algorithm>

#include "scan/filesystem/inode_table.h"
#include "scan/format/checksum.h"

namespace extscrub {

namespace {

bool has_table(const FileSystem& fs, GroupNo group) {
  const GroupDesc& d = fs.groups[group.value];
  return d.readable && valid_location(fs.geometry, group, d.inode_table, fs.geometry.itable_blocks);
}

// The first `count` inodes of the group's table have been used, for all who read the descriptor in the overlay.
Result<void> count_as_used(const RepairRound& round, GroupNo group, uint32_t count) {
  const FileSystem& fs = round.fs();
  const Geometry& g = fs.geometry;
  auto block = round.overlay.edit(g.desc_block(group.value / g.desc_per_block, GroupNo()));
  if (!block) return std::unexpected(block.error());
  const MutableBytes raw = block->subspan(size_t{group.value % g.desc_per_block} * g.desc_size, g.desc_size);
  GroupDesc d = decode_group_desc(g, fs.super, group, raw);
  d.itable_unused = std::min(d.itable_unused, g.inodes_per_group - count);
  d.flags &= static_cast<uint16_t>(~EXT2_BG_INODE_UNINIT);
  encode_group_desc(g, fs.super, group, d, raw);
  return {};
}

// The bits of the inode bitmap as stored; empty where they mean nothing.
std::vector<std::byte> stored_bitmap(const FileSystem& fs, GroupNo group) {
  const Geometry& g = fs.geometry;
  const GroupDesc& d = fs.groups[group.value];
  std::vector<std::byte> bitmap(g.block_size);
  const bool there = !(g.group_csum() && d.inode_uninit()) && valid_location(g, group, d.inode_bitmap, 1);
  if (!there || !fs.blocks->read(d.inode_bitmap, bitmap)) bitmap.clear();
  return bitmap;
}

// Among the inodes that were read; those that only the bitmap shows in use are taken only where `believe_scan`.
InodeNo find_read(const RepairRound& round, GroupNo group, bool believe_scan) {
  const FileSystem& fs = round.fs();
  const Geometry& g = fs.geometry;
  const InodeScan& scan = *round.run.scan;
  if (!has_table(fs, group)) return {};
  const std::vector<std::byte> bitmap = stored_bitmap(fs, group);
  for (uint32_t i = 0; i < scan.tallies[group.value].scanned; ++i) {
    const InodeNo ino = g.group_first_inode(group) + i;
    if (ino.value < g.first_inode || scan.used.test(group, i) || std::ranges::binary_search(fs.orphans, ino)) continue;
    if (std::ranges::binary_search(fs.bad_blocks, place_of(fs, ino).block)) continue;
    const bool marked = i / 8 < bitmap.size() && test_bit(bitmap, i);
    if (!marked || believe_scan) return ino;
  }
  return {};
}

// The first of those that were never used.
Result<InodeNo> take_fresh(const RepairRound& round, GroupNo group) {
  const Geometry& g = round.geometry();
  const uint32_t index = round.run.scan->tallies[group.value].scanned;
  const InodeNo ino = g.group_first_inode(group) + index;
  if (!has_table(round.fs(), group) || index >= g.inodes_per_group || ino.value < g.first_inode) return InodeNo();
  if (auto r = count_as_used(round, group, index + 1); !r) return std::unexpected(r.error());
  return ino;
}

}  // namespace

Result<InodeNo> allocate_inode(const RepairRound& round, InodeNo near) {
  const Geometry& g = round.geometry();
  const uint32_t first = g.group_of(near).value;
  InodeNo found;
  for (const bool believe_scan : {false, true})
    for (uint32_t i = 0; i < g.groups && !found && (!believe_scan || round.lossy()); ++i)
      found = find_read(round, GroupNo((first + i) % g.groups), believe_scan);
  for (uint32_t i = 0; i < g.groups && !found; ++i) {
    auto fresh = take_fresh(round, GroupNo((first + i) % g.groups));
    if (!fresh) return fresh;
    found = *fresh;
  }
  if (!found) return found;
  auto raw = edit_inode(round.fs(), round.overlay, found);
  if (!raw) return std::unexpected(raw.error());
  std::ranges::fill(*raw, std::byte{0});
  return found;
}

Result<bool> show_inode(const RepairRound& round, InodeNo ino) {
  const FileSystem& fs = round.fs();
  const Geometry& g = fs.geometry;
  std::vector<std::byte> raw(g.inode_size);
  if (!read_inode(fs, ino, raw)) return false;
  const Inode inode(g, ino, raw);
  const FileType type = inode.type();
  if (inode.base().i_links_count == 0 || type == FileType::none || type == FileType::unknown) return false;
  if (!fits_inode_checksum(g, ino, raw)) return false;
  const GroupNo group = g.group_of(ino);
  if (auto r = count_as_used(round, group, ino - g.group_first_inode(group) + 1); !r) return std::unexpected(r.error());
  return true;
}

}  // namespace extscrub
