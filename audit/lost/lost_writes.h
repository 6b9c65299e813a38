// Metadata whose last write was lost, or went to another place: what the history of the journal proves of it, and what the
// audit of an image without the damage says to that. On the threads of the caller's task arena; belongs to one caller.
#pragma once

#include <vector>

#include "audit/run/audit_run.h"
#include "scan/journal/stale_blocks.h"

namespace extscrub {

// What the journal still has, and the check that holds it against the image while that is scanned.
struct HistorySource {
  // `run` behind its recovery; it has to outlive this.
  HistorySource(const AuditRun& run, const AuditOptions& options);

  Journal journal;
  JournalHistory history;  // empty where there is none to go by
  HistoryCheck check;
};

// `run` with all its findings, on an image that is whole. Errors: those of run_audit().
[[nodiscard]] Result<std::vector<LostWrite>> find_lost_writes(const AuditRun& run, const AuditOptions& options,
                                                              HistorySource& source);

void check_lost_writes(const std::vector<LostWrite>& lost, Findings& findings);

// Puts what belongs there into the overlay. Errors: the overlay cannot be staged.
[[nodiscard]] Result<void> put_back(const LostWrite& lost, Overlay& overlay);

}  // namespace extscrub
