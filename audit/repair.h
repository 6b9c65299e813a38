// The repairs: what was counted is staged in the overlay. Each function changes one kind of structure and returns how
// many findings it answered. They never write to the image. For one thread.
#pragma once

#include "audit/audit_run.h"

namespace extscrub {

// What a round of repairs works on.
struct RepairRound {
  const AuditRun& run;
  Overlay& overlay;
  RepairPolicy policy;
  std::vector<Finding>& findings;  // of `run`; those answered become RepairState::staged
  uint32_t now;                    // seconds, for fields that hold a time
};

// Inodes whose only findings have safe repairs: fields, i_blocks, checksums of the inode and its extent blocks.
[[nodiscard]] Result<size_t> repair_inodes(RepairRound& round);

// Bitmaps, the descriptors' counts, flags and checksums, for each group with a finding.
[[nodiscard]] Result<size_t> repair_groups(RepairRound& round);

// The superblock's totals and checksum.
[[nodiscard]] Result<size_t> repair_superblock(RepairRound& round);

// Sets the primary superblock's state in the overlay: valid and without an error mark, or not valid; sealed.
[[nodiscard]] Result<void> stage_state(Overlay& overlay, bool clean, uint32_t now);

}  // namespace extscrub
