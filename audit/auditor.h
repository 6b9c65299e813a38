// The auditor: scans an image (or an image under an overlay), runs every rule over the facts and gives one verdict.
// And the repairer: stages repairs in the overlay, audits again, until the image is proven clean.
// Both use as many threads as asked for inside; each call belongs to one caller.
#pragma once

#include "audit/run/audit.h"

namespace extscrub {

// Audits the image, or image + staged blocks, as the next mount will find it: behind the replay of its journal and the
// release of its orphans, both in memory. What that changes is staged too, where there is an overlay.
// Errors: no superblock to go by, an unknown feature, an image shorter than its superblock says, cancelled (code
// kind `cancelled`). Damage is no error.
[[nodiscard]] Result<Audit> audit(const Image& image, Overlay* overlay, const AuditOptions& options);

// Stages repairs of the classes `policy` allows, auditing again after each round (at most 8).
// Nothing is written to the image. Errors: those of audit().
[[nodiscard]] Result<RepairPlan> plan_repairs(const Image& image, RepairPolicy policy, const AuditOptions& options);

}  // namespace extscrub
