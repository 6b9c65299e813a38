// What a scrub with safe repairs would do about the findings of an audit: tried in memory, so that a report promises what the
// scrub then does. Belongs to one caller; uses threads inside.
#pragma once

#include <functional>

#include "audit/auditor.h"

namespace extscrub {

using Planner = std::function<Result<RepairPlan>(const Image&, RepairPolicy, const AuditOptions&)>;

// Whether there is a finding that a repair could be promised for. Not where there are so many that trying takes too long, or
// where some metadata cannot be read.
[[nodiscard]] bool is_worth_trying(const Audit& audit);

// Sets Finding::remedy by a plan of safe repairs, and lets it go. `options`: as a scrub would have them.
// Errors: those of plan_repairs().
[[nodiscard]] Result<void> promise_repairs(const Image& image, const Planner& plan_repairs, const AuditOptions& options,
                                           std::vector<Finding>& findings);

}  // namespace extscrub
