// Free inodes for repairs, and inodes in the part of a table that is not read because it was never used.
// For one thread.
#pragma once

#include "audit/edit/round.h"

namespace extscrub {

// An inode that is not in use, in the group of `near` if there is one; blank in the overlay. 0: there is none.
[[nodiscard]] Result<InodeNo> allocate_inode(const RepairRound& round, InodeNo near);

// Whether the inode, which the descriptor calls never used, holds a file. Then the descriptor counts it as used.
[[nodiscard]] Result<bool> show_inode(const RepairRound& round, InodeNo ino);

}  // namespace extscrub
