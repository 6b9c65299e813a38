// A round of repairs: what they work on, and what they ask before they do. For one thread.
#pragma once

#include <set>

#include "audit/catalogue/finding_index.h"
#include "audit/run/audit_run.h"
#include "audit/stage/block_allocator.h"

namespace extscrub {

// What a round of repairs works on.
struct RepairRound {
  const AuditRun& run;
  Overlay& overlay;
  RepairPolicy policy;
  const FindingIndex& findings;    // of `run`; those answered become RepairState::staged
  std::vector<Loss>& losses;       // of all rounds
  uint32_t now;                    // seconds, for fields that hold a time
  BlockAllocator& blocks;          // free blocks
  std::set<InodeNo> awaited = {};  // without a name; where it belongs is known, but only a lossy repair may write there
  const FindingIndex* first = nullptr;  // of the image as it was before the first round; null: not known
  bool stale = false;              // what was counted is no longer so: names, claims, maps or inodes in use have changed

  // The policy allows the repairs of this problem.
  [[nodiscard]] bool may(Problem problem) const;
  [[nodiscard]] bool lossy() const { return policy == RepairPolicy::all; }
  [[nodiscard]] const FileSystem& fs() const { return run.fs; }
  [[nodiscard]] const Geometry& geometry() const { return run.fs.geometry; }

  // To be called for everything that a repair clears, cuts, clones, renames or moves.
  void lose(const Finding& cause, std::string what, std::optional<ByteRange> bytes = {});
};

// Something in use may not have been seen, unless this is true: then what looks unused is.
[[nodiscard]] bool all_was_seen(const RepairRound& round);

// Directories may have entries that were not seen, as the repair of what hides them is not made: what has no name, or fewer
// names than links, may have them.
[[nodiscard]] bool names_may_be_hidden(const RepairRound& round);

// The policy leaves damage whose repair costs something: what a pointer of it names may not be what it is to name.
[[nodiscard]] bool loss_is_pending(const RepairRound& round);

}  // namespace extscrub
