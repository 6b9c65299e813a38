// The bad-blocks inode: inode 1, whose block map is the list of blocks that the device cannot keep.
// Stateless: any thread.
#pragma once

#include <vector>

#include "scan/file_system.h"

namespace extscrub {

// The listed blocks, sorted; usually none. Damage in the map leaves out what it hides; the audit of the inode reports it.
[[nodiscard]] std::vector<BlockNo> read_bad_blocks(const FileSystem& fs);

}  // namespace extscrub
