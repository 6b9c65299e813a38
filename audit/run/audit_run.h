// One audit with all it learned: for the auditor, which reports it, and the repairs, which need what was counted.
// Belongs to one thread; the audit inside uses as many as asked for.
#pragma once

#include <memory>

#include "audit/catalogue/lost_write.h"
#include "audit/rules/rules.h"
#include "audit/run/audit.h"

namespace extscrub {

struct AuditRun {
  FileSystem fs;
  std::unique_ptr<Overlay> plain;  // what fs.blocks points to when the caller gave no overlay
  std::unique_ptr<InodeScan> scan;
  std::vector<Owner> owners;       // of clusters claimed more than once, when there are any
  DirectoryScan directories;
  std::vector<LostWrite> lost;     // writes, and what belongs in their places
  uint32_t log_head = 0;           // the block of the log behind the newest transaction of the history; 0: there is none
  Findings findings;               // while the rules are at work; then they are in `audit`
  Audit audit;
};

// `overlay` may be null; what the next mount would recover is staged into it, as audit() says. The result points to it
// and to the image.
[[nodiscard]] Result<AuditRun> run_audit(const Image& image, Overlay* overlay, const AuditOptions& options);

// What the findings amount to, those that were only counted among them.
[[nodiscard]] Verdict verdict_of(const std::vector<Finding>& findings, const std::vector<FindingCount>& past);

}  // namespace extscrub
