#include "scan/lost_inodes.h"

#include <algorithm>

#include "scan/inode_table.h"

namespace extscrub {

namespace {

bool is_believed(const FileSystem& fs, const GroupDesc& d) {
  return d.readable && d.checksum_ok && d.free_inodes <= fs.geometry.inodes_per_group;
}

// Without a journal a bitmap may reach the disk before the inode does. With a log that was not replayed nothing is known.
bool may_be_half_written(const FileSystem& fs) {
  const bool journal = fs.geometry.has_compat(EXT3_FEATURE_COMPAT_HAS_JOURNAL);
  return fs.geometry.has_incompat(EXT3_FEATURE_INCOMPAT_RECOVER) || (!journal && !(fs.super.s_state & EXT2_VALID_FS));
}

// e2fsck counts the inodes in a part of the table that is listed as bad as in use.
bool has_bad_table(const FileSystem& fs, const GroupDesc& d) {
  return std::ranges::any_of(fs.bad_metadata, [&](BlockNo b) { return b >= d.inode_table && b - d.inode_table < fs.geometry.itable_blocks; });
}

bool is_sound(const BitmapFacts& bitmap) {
  return bitmap.comparable() && bitmap.checksum_ok && bitmap.padding_ok && bitmap.missing.empty();
}

// Nothing in the fields that every inode has but, perhaps, the checksum of nothing.
bool is_blank_inode(const Geometry& g, Bytes raw) {
  for (size_t i = 0; i < EXT2_GOOD_OLD_INODE_SIZE; ++i) {
    const bool checksum = i / 2 == offsetof(ext2_inode, osd2.linux2.l_i_checksum_lo) / 2;
    if (raw[i] != std::byte{} && !(g.metadata_csum() && checksum)) return false;
  }
  return true;
}

// Of the inodes that only the bitmap has: those that hold nothing. One that was deleted keeps its mode and its times.
uint32_t count_blank(const FileSystem& fs, const GroupFacts& facts) {
  const Geometry& g = fs.geometry;
  std::vector<std::byte> block(g.block_size);
  BlockNo at;
  uint32_t blank = 0;
  for (const BitRun& run : facts.inodes.stale)
    for (uint32_t i = 0; i < run.count; ++i) {
      const InodePlace place = place_of(fs, g.group_first_inode(facts.group) + (run.first + i));
      if (place.block != at && !fs.blocks->read(place.block, block)) return 0;
      at = place.block;
      blank += is_blank_inode(g, Bytes(block).subspan(place.offset, g.inode_size));
    }
  return blank;
}

}  // namespace

bool inode_counts_agree(const FileSystem& fs) {
  uint64_t free = 0;
  for (const GroupDesc& d : fs.groups) {
    if (!is_believed(fs, d)) return false;
    free += d.free_inodes;
  }
  return free == fs.super.s_free_inodes_count;
}

uint32_t count_lost_inodes(const FileSystem& fs, const GroupFacts& facts, uint32_t seen, bool counts_agree) {
  const Geometry& g = fs.geometry;
  const GroupDesc& d = fs.groups[facts.group.value];
  if (!is_believed(fs, d) || may_be_half_written(fs) || (g.group_csum() && d.inode_uninit())) return 0;
  if (!valid_location(g, facts.group, d.inode_table, g.itable_blocks) || has_bad_table(fs, d)) return 0;
  const uint32_t counted = g.inodes_per_group - d.free_inodes;
  if (counted <= seen) return 0;
  if (!is_sound(facts.inodes)) return counts_agree ? counted - seen : 0;
  uint32_t stale = 0;
  for (const BitRun& run : facts.inodes.stale) stale += run.count;
  return seen + stale == counted ? count_blank(fs, facts) : 0;
}

}  // namespace extscrub
