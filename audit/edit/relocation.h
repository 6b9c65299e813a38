// Moves parts of a file into clusters of their own: the contents are copied, the map is written anew, and what lay there
// before stays as it is, for whoever else uses it.
// For one thread.
#pragma once

#include <set>
#include <span>

#include "audit/edit/round.h"

namespace extscrub {

// How many bytes may be copied yet. All of them are staged in memory, and an image can claim any number.
[[nodiscard]] uint64_t copy_budget(const Overlay& overlay);

// Moves the blocks of `runs` (in logical order) in the logical clusters `clusters` of the file, and gives the inode the map
// that follows from it. `raw`: its bytes in the overlay; not sealed here. `nodes`: as for write_map(). What cannot be read
// becomes zeros, and is reported as lost because of `cause`.
// False: there is no space, or more than `budget` bytes would be copied, and nothing has changed. `budget` shrinks by what
// was copied.
[[nodiscard]] Result<bool> relocate(RepairRound& round, const Finding& cause, InodeNo ino, MutableBytes raw,
                                    std::span<const Run> runs, const std::set<uint64_t>& clusters, std::span<const BlockNo> nodes,
                                    uint64_t& budget);

// Copies one block; false when the old one cannot be read and the new one holds zeros.
[[nodiscard]] Result<bool> copy_block(RepairRound& round, BlockNo from, BlockNo to);

}  // namespace extscrub
