// What the blocks of a repair are, for a person: one look through all inodes finds whose each of them is.
// Works on the threads of the caller's task arena; belongs to one caller.
#pragma once

#include <string>
#include <vector>

#include "audit/run/audit.h"

namespace extscrub {

// For each block of `staged` (ascending), as the overlay shows the file system: "block bitmap of group 3", "inode table of
// group 0, inodes 17-32", "logical block 4 of inode 12", "block map of inode 12", "attributes of inode 12" or "free block".
// Errors: no superblock to go by; cancelled.
[[nodiscard]] Result<std::vector<std::string>> name_blocks(const Overlay& overlay, const std::vector<StagedBlock>& staged,
                                                           const AuditOptions& options);

}  // namespace extscrub
