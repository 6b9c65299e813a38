#include "audit/promise.h"

#include <algorithm>
#include <set>

#include "audit/catalogue/finding_id.h"

namespace extscrub {

namespace {

constexpr size_t kMostFindings = 20000;

bool has_repair(const Finding& f) { return info(f.problem).repair != RepairClass::none; }

}  // namespace

bool is_worth_trying(const Audit& audit) {
  const std::vector<Finding>& findings = audit.findings;
  uint64_t all = findings.size();
  for (const FindingCount& c : audit.past) all += c.count;
  return all <= kMostFindings && std::ranges::any_of(findings, has_repair) &&
         std::ranges::count(findings, Problem::read_error, &Finding::problem) == 0 &&
         std::ranges::count(findings, Problem::image_truncated, &Finding::problem) == 0;
}

Result<void> promise_repairs(const Image& image, const Planner& plan_repairs, const AuditOptions& options,
                             std::vector<Finding>& findings) {
  const auto plan = plan_repairs(image, RepairPolicy::safe, options);
  if (!plan) return std::unexpected(plan.error());
  std::set<FindingId> repaired;
  for (const Finding& f : plan->before.findings)
    if (f.repair == RepairState::staged) repaired.insert(id_of(f));
  for (Finding& f : findings)
    if (has_repair(f)) f.remedy = repaired.contains(id_of(f)) ? Remedy::scrub : Remedy::all;
  return {};
}

}  // namespace extscrub
