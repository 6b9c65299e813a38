// Blocks of directories, extent trees and extended attributes that were written where others belong: their checksums were made
// for another inode, or another block. For metadata_csum. On the threads of the current task arena.
#pragma once

#include <optional>
#include <vector>

#include "audit/run/audit_run.h"
#include "scan/inodes/owners.h"

namespace extscrub {

struct MisplacedBlock {
  Owner owner;                  // whose block it should be
  InodeNo belongs_to;           // whose it is by its checksum; 0 for attributes
  std::optional<BlockNo> home;  // where it belongs, where that is known
};

// Among the blocks that findings name. Sorted by block. Errors: cancelled.
[[nodiscard]] Result<std::vector<MisplacedBlock>> find_misplaced_blocks(const AuditRun& run, Progress* progress);

}  // namespace extscrub
