// The bad-blocks inode: inode 1, whose block map is the list of blocks that the device cannot keep.
// Stateless: any thread.
#pragma once

#include <vector>

#include "scan/filesystem/file_system.h"

namespace extscrub {

struct BadBlocks {
  std::vector<BlockNo> listed;  // sorted; usually none. Blocks of inode tables only where they are given up (see below)
  // Listed as well, though the file system is read through them each time: what says that they are bad is wrong. Sorted.
  std::vector<BlockNo> in_metadata;
  // Listed as well, though the list itself lies there, or listed a second time. Sorted.
  std::vector<BlockNo> again;
};

// Damage in the map leaves out what it hides; the audit of the inode reports it. `fs.metadata` must be there.
[[nodiscard]] BadBlocks read_bad_blocks(const FileSystem& fs);

// A block of an inode table is given up, as e2fsck does it, where the inode bitmap marks all inodes in it as in use, and
// reading it shows one that is not: then nothing is lost by believing the list.
//
// Whether a list of bad blocks cannot name this block: the primary superblock and descriptors, inode tables and the block
// of multiple-mount protection. Copies may lie on bad blocks, and bitmaps can be moved away from them.
[[nodiscard]] bool must_be_good(const FileSystem& fs, BlockNo block);

}  // namespace extscrub
