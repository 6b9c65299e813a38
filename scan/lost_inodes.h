// Inodes that were in use and are gone: their places in the inode table are blank, while what counts them still has them.
// Any thread.
#pragma once

#include "scan/bitmaps.h"

namespace extscrub {

// The superblock and all descriptors together tell the same number of free inodes.
[[nodiscard]] bool inode_counts_agree(const FileSystem& fs);

// At least how many inodes of the group are gone; `seen`: those in use that were seen, `counts_agree` as above. No single
// count or bitmap is believed: the bitmap and the descriptor must agree, or where the bitmap is damaged, the descriptor and
// the superblock. Never any where a crash leaves such a state behind.
[[nodiscard]] uint32_t count_lost_inodes(const FileSystem& fs, const GroupFacts& facts, uint32_t seen, bool counts_agree);

}  // namespace extscrub
