// The paths of the inodes that findings are about. Made only when there are findings: the directories are read again.
#pragma once

#include "audit/run/audit_run.h"

namespace extscrub {

// Fills Finding::path where a name is known; "/" for the root. Of too many, or too long ones, only the first are looked up,
// and Audit::without_path counts the others. Errors: cancelled.
[[nodiscard]] Result<void> add_paths(AuditRun& run, Progress* progress);

// Fills Loss::path where there is none yet, from the names that the run has seen. Errors: cancelled.
[[nodiscard]] Result<void> add_paths(const AuditRun& run, std::vector<Loss>& losses, Progress* progress);

}  // namespace extscrub
