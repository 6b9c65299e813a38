#include "scan/inodes/lost_inodes.h"

#include <algorithm>

#include "scan/filesystem/inode_table.h"

namespace extscrub {

namespace {

constexpr uint32_t kMany = 8;

bool is_moved(const FileSystem& fs, GroupNo group) {
  return std::ranges::find(fs.moved, group, &MovedStructure::group) != fs.moved.end();
}

// A descriptor that names wrong places does not count right either.
bool is_believed(const FileSystem& fs, GroupNo group) {
  const GroupDesc& d = fs.groups[group.value];
  return d.readable && d.checksum_ok && d.free_inodes <= fs.geometry.inodes_per_group && !is_moved(fs, group);
}

// Of those in use; a few may be odd in another way.
uint32_t noise_of(const GroupTally& tally) { return tally.noise >= kMany ? tally.noise : 0; }

uint32_t seen_in(const GroupTally& tally) { return tally.inodes_used - noise_of(tally); }

uint64_t above(uint64_t a, uint64_t b) { return a > b ? a - b : 0; }

// Without a journal a bitmap may reach the disk before the inode does. A backup of the superblock never says that all is
// written.
bool may_be_half_written(const FileSystem& fs) {
  return !fs.geometry.has_compat(EXT3_FEATURE_COMPAT_HAS_JOURNAL) && !(fs.super.s_state & EXT2_VALID_FS);
}

// e2fsck counts the inodes in a part of the table that is listed as bad as in use.
bool has_bad_table(const FileSystem& fs, const GroupDesc& d) {
  return std::ranges::any_of(fs.bad_metadata,
                             [&](BlockNo b) { return b >= d.inode_table && b - d.inode_table < fs.geometry.itable_blocks; });
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

uint32_t bits_in(const std::vector<BitRun>& runs) {
  uint32_t bits = 0;
  for (const BitRun& run : runs) bits += run.count;
  return bits;
}

// The bitmap, against the inodes that are no noise.
struct BitmapWitness {
  uint32_t used = 0;         // bits set
  uint32_t missing = 0;      // inodes that were seen, but not by it
  uint32_t noise = 0;        // inodes that it calls used, and that are noise
};

BitmapWitness ask_bitmap(const InodeScan& scan, const GroupFacts& facts) {
  const GroupTally& tally = scan.tallies[facts.group.value];
  BitmapWitness w;
  w.missing = bits_in(facts.inodes.missing);
  w.used = tally.inodes_used - w.missing + bits_in(facts.inodes.stale);
  if (noise_of(tally) == 0) return w;
  uint32_t uncalled = 0;
  for (const BitRun& run : facts.inodes.missing)
    for (uint32_t i = 0; i < run.count; ++i) uncalled += scan.noise.test(facts.group, run.first + i);
  w.missing -= uncalled;
  w.noise = tally.noise - uncalled;
  return w;
}

// One that is blank, noise or another structure has few of the inodes that are there. An empty one may be right where
// nothing newer than a backup says otherwise.
bool is_credible(const FileSystem& fs, const BitmapFacts& bitmap, const BitmapWitness& w) {
  if (!bitmap.comparable() || !bitmap.padding_ok) return false;
  return w.used > 0 ? w.missing * 8 < w.used : !fs.primary_problem.empty();
}

}  // namespace

InodeCounts count_inodes(const FileSystem& fs, const InodeScan& scan) {
  const Geometry& g = fs.geometry;
  InodeCounts c;
  uint64_t free = 0, seen = 0;
  bool believed = true;
  for (GroupNo group; group.value < g.groups; ++group) {
    seen += seen_in(scan.tallies[group.value]);
    believed = believed && is_believed(fs, group);
    free += fs.groups[group.value].free_inodes;
  }
  c.agree = believed && free == fs.super.s_free_inodes_count;
  if (fs.super.s_free_inodes_count <= g.inodes) c.gone = above(g.inodes - fs.super.s_free_inodes_count, seen);
  c.all_there = fs.super.s_free_inodes_count + seen == g.inodes;
  return c;
}

uint32_t count_lost_inodes(const FileSystem& fs, const InodeScan& scan, const GroupFacts& facts, const InodeCounts& counts) {
  const Geometry& g = fs.geometry;
  const GroupNo group = facts.group;
  const GroupDesc& d = fs.groups[group.value];
  // With a log that was not replayed nothing is known.
  if (g.has_incompat(EXT3_FEATURE_INCOMPAT_RECOVER) || !d.readable || (g.group_csum() && d.inode_uninit())) return 0;
  if (!valid_location(g, group, d.inode_table, g.itable_blocks) || has_bad_table(fs, d)) return 0;
  const bool believed = is_believed(fs, group), settled = !may_be_half_written(fs);
  const uint32_t seen = seen_in(scan.tallies[group.value]);
  const uint32_t counted = believed ? g.inodes_per_group - d.free_inodes : 0;
  const auto by_descriptor = static_cast<uint32_t>(above(counted, seen));
  const auto by_super =
      static_cast<uint32_t>(std::min<uint64_t>(counts.gone, g.inodes_per_group - std::min(seen, g.inodes_per_group)));
  if (by_descriptor == 0 && by_super == 0) return 0;
  if (counts.all_there) return 0;  // then it is the descriptor's count that is wrong

  const auto are_many = [&](uint32_t lost, uint32_t of) { return lost >= kMany || (settled && lost > 0 && lost * 2 >= of); };
  const BitmapWitness bitmap = ask_bitmap(scan, facts);
  if (is_credible(fs, facts.inodes, bitmap)) {
    const uint32_t gone = count_blank(fs, facts) + bitmap.noise;
    if (settled && is_sound(facts.inodes) && bitmap.used == counted) return gone;
    const uint32_t two = std::min(gone, std::max(by_descriptor, by_super));
    return are_many(two, bitmap.used) ? two : 0;
  }
  if (settled && counts.agree) return by_descriptor;
  const uint32_t two = std::min(by_descriptor, by_super);
  if (two >= kMany) return two;
  // An empty bitmap of a group where nothing is may as well be right.
  const bool bitmap_is_gone = !facts.inodes.comparable() || !facts.inodes.padding_ok || bitmap.missing > 0;
  return bitmap_is_gone && by_descriptor >= kMany && by_descriptor * 2 >= counted ? by_descriptor : 0;
}

}  // namespace extscrub
