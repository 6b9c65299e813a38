// A whole image: the audit, with one thread or two, and all repairs planned. Nothing is written, the report does not
// depend on the threads, and a plan that says it is proven is.
#include <algorithm>
#include <tuple>

#include "audit/auditor.h"
#include "tests/fuzz/patched_image.h"

namespace extscrub::fuzz {

namespace {

AuditOptions with_jobs(unsigned jobs) {
  AuditOptions options;
  options.jobs = jobs;
  options.now = 1'700'000'000;  // an input does the same at any time
  return options;
}

bool same(const Finding& a, const Finding& b) {
  const auto fields = [](const Finding& f) {
    return std::tie(f.problem, f.group, f.inode, f.block, f.block_count, f.logical, f.path, f.field, f.evidence);
  };
  return fields(a) == fields(b);
}

void fuzz(const PatchedImage& subject) {
  std::vector<std::byte> before;
  if (subject.is(thorough)) before.assign(subject.bytes().begin(), subject.bytes().end());
  auto plan = plan_repairs(subject.image(), RepairPolicy::all, with_jobs(1));
  if (!subject.is(thorough)) return;

  const auto together = audit(subject.image(), nullptr, with_jobs(2));
  require(together.has_value() == plan.has_value(), "one outcome with any number of threads");
  if (plan) require(std::ranges::equal(plan->before.findings, together->findings, same), "one report with any number of threads");
  if (plan && plan->proven_clean) {
    const auto after = audit(subject.image(), &*plan->overlay, with_jobs(1));
    require(after && after->verdict == Verdict::clean, "a proven plan");
  }
  require(subject.same(before), "nothing written");
}

}  // namespace

}  // namespace extscrub::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static extscrub::fuzz::PatchedImage subject("image");
  if (subject.apply(data, size)) extscrub::fuzz::fuzz(subject);
  return 0;
}
