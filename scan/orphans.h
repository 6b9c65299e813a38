// The orphan list: inodes that were deleted, or cut, while they were still open, chained from s_last_orphan through
// i_dtime. Until the next mount releases them they keep their inode and their blocks.
// Stateless: any thread.
#pragma once

#include <vector>

#include "scan/file_system.h"

namespace extscrub {

// The inodes of the list, sorted. Ends at the first number that is no inode or was there before.
[[nodiscard]] std::vector<InodeNo> read_orphan_list(const FileSystem& fs);

}  // namespace extscrub
