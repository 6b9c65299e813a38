// The bitmaps as stored, held against what the scan counted.
// load_inode_bitmaps() and compare_group() work on the calling thread; different groups may be compared at once.
#pragma once

#include <memory>
#include <vector>

#include "scan/filesystem/file_system.h"
#include "scan/filesystem/group_bits.h"

namespace extscrub {

struct BitRun {
  uint32_t first = 0, count = 0;  // bits: clusters or inodes of the group, from 0
};

// One bitmap of one group.
struct BitmapFacts {
  bool located = true;      // the descriptor names a place where it can be
  bool uninit = false;      // not stored: computed from the descriptor instead
  bool readable = true;
  bool checksum_ok = true;  // or none is kept
  bool padding_ok = true;   // the bits behind the last one are ones
  uint32_t checksum_expected = 0, checksum_found = 0;
  std::vector<BitRun> missing;  // in use, but the bitmap calls them free
  std::vector<BitRun> stale;    // in the bitmap, but nothing uses them
  uint32_t counted_free = 0;    // by the scan

  [[nodiscard]] bool comparable() const { return located && readable; }
};

struct GroupFacts {
  GroupNo group;
  BitmapFacts blocks, inodes;
};

struct InodeBitmap {
  std::unique_ptr<std::byte[]> bytes;  // a whole block; none when it was not stored, or could not be read
  bool located = true, uninit = false, readable = true;
};

// Has the kernel read the bitmaps of all groups that store any, in the order of the disk.
void prefetch_bitmaps(const FileSystem& fs);

[[nodiscard]] InodeBitmap load_inode_bitmap(const FileSystem& fs, GroupNo group);

// Inodes of the group lie behind the end of an image that is cut short.
[[nodiscard]] bool lacks_inodes(const FileSystem& fs, GroupNo group);

// `block`: a buffer of one block for the block bitmap.
[[nodiscard]] GroupFacts compare_group(const FileSystem& fs, GroupNo group, const GroupBits& claims, const GroupBits& used,
                                       const InodeBitmap& inode_bitmap, MutableBytes block);

// Fills `out` (a block) with the bitmap as it should be: the bits set in `bits`, then ones as padding.
void make_bitmap(const GroupBits& bits, GroupNo group, uint32_t valid_bits, MutableBytes out);

}  // namespace extscrub
