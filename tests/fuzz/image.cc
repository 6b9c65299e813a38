// A whole image: the audit, with one thread or two, and all repairs planned. Nothing is written, the report does not
// depend on the threads, and a plan that says it is proven is.
#include <algorithm>
#include <tuple>

#include "audit/audit_run.h"
#include "tests/fuzz/patched_image.h"

namespace extscrub::fuzz {

namespace {

AuditOptions with_jobs(unsigned jobs) {
  AuditOptions options;
  options.jobs = jobs;
  return options;
}

bool same(const Finding& a, const Finding& b) {
  const auto fields = [](const Finding& f) {
    return std::tie(f.problem, f.group, f.inode, f.block, f.block_count, f.logical, f.path, f.field, f.expected, f.found);
  };
  return fields(a) == fields(b);
}

void fuzz(const PatchedImage& subject) {
  const std::vector<std::byte> before(subject.bytes().begin(), subject.bytes().end());
  const auto alone = run_audit(subject.image(), nullptr, with_jobs(1));
  if (subject.is(more_jobs)) {
    const auto together = run_audit(subject.image(), nullptr, with_jobs(2));
    require(alone.has_value() == together.has_value(), "one outcome with any number of threads");
    if (alone) require(std::ranges::equal(alone->audit.findings, together->audit.findings, same), "one report with any number of threads");
  }
  const auto plan = plan_repairs(subject.image(), RepairPolicy::all, with_jobs(1));
  require(plan.has_value() == alone.has_value(), "one outcome of audit and plan");
  if (plan && plan->proven_clean) {
    const auto after = audit(subject.image(), &*plan->overlay, with_jobs(1));
    require(after && after->verdict == Verdict::clean, "a proven plan");
  }
  require(std::ranges::equal(before, subject.bytes()), "nothing written");
}

}  // namespace

}  // namespace extscrub::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static extscrub::fuzz::PatchedImage subject("image");
  if (subject.apply(data, size)) extscrub::fuzz::fuzz(subject);
  return 0;
}
