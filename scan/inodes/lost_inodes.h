// Inodes that were in use and are gone: their places in the inode table are blank or noise, while what counts them still
// has them. Any thread.
#pragma once

#include "scan/inodes/inode_scan.h"

namespace extscrub {

// What the superblock and all descriptors say of inodes in use, against those that were seen.
struct InodeCounts {
  bool agree = false;  // the superblock and all descriptors tell the same number
  bool all_there = false;  // the superblock counts just those that were seen
  uint64_t gone = 0;   // counted by the superblock, and not seen
};

[[nodiscard]] InodeCounts count_inodes(const FileSystem& fs, const InodeScan& scan);

// At least how many inodes of the group are gone. The witnesses are the bitmap, with the blank places that it calls used,
// the descriptor and the superblock. Where two of them agree exactly, every inode counts. Where they do not, or where a
// crash may have left a few inodes behind the bitmap, only many do: the least that two of them say, and where the bitmap
// is gone, what the descriptor says if that is the greater part.
[[nodiscard]] uint32_t count_lost_inodes(const FileSystem& fs, const InodeScan& scan, const GroupFacts& facts,
                                         const InodeCounts& counts);

}  // namespace extscrub
