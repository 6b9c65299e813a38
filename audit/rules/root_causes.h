// What follows from what. An inode that is garbage, or a block whose checksum does not match, makes many findings, and bitmaps
// and counts cannot be right because of it: one finding is the cause, the others are its consequences.
// Pure functions: any thread.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "audit/catalogue/finding.h"

namespace extscrub {

// For each finding the index of the one that it follows from, which follows from none itself; nothing where no cause is shown.
// Only the findings are asked, so that a cause that is not among them (--max-findings) explains nothing. A cause is never of
// lower severity than what follows from it, and never hides that something could not be read or was lost.
// `findings` sorted as by sort_findings(); `cluster_blocks`: blocks in a cluster, which counts and bitmaps are in.
[[nodiscard]] std::vector<std::optional<size_t>> root_causes(std::span<const Finding> findings, uint64_t cluster_blocks = 1);

// The indices of the findings that say of an inode that it is garbage: so many of its fields cannot be that they were not
// damaged one by one. One an inode, sorted.
[[nodiscard]] std::vector<size_t> garbage_inodes(std::span<const Finding> findings);

}  // namespace extscrub
