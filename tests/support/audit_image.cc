#include "tests/support/audit_image.h"
#include "tests/support/catch.h"

#include <fmt/format.h>

#include <stdexcept>

namespace extscrub::test {

namespace {

template <class T>
T value_or_throw(Result<T> result) {
  if (!result) throw std::runtime_error(text_of(result.error()));
  return std::move(*result);
}

template <class T>
std::string text(const std::optional<T>& number) {
  return number ? fmt::format("{}", *number) : "-";
}

}  // namespace

Audit audit_of(const TestImage& image, unsigned jobs) {
  AuditOptions options;
  options.jobs = jobs;
  return value_or_throw(audit(value_or_throw(Image::open(image.path())), nullptr, options));
}

uint64_t count_when_limited(const TestImage& image) {
  AuditOptions options;
  options.max_findings = 1;
  const Audit limited = value_or_throw(audit(value_or_throw(Image::open(image.path())), nullptr, options));
  uint64_t count = limited.findings.size();
  for (const FindingCount& past : limited.past) count += past.count;
  return count;
}

RepairPlan plan_of(const Image& image, RepairPolicy policy) {
  AuditOptions options;
  options.jobs = 2;
  return value_or_throw(plan_repairs(image, policy, options));
}

void apply(const TestImage& image, const RepairPlan& plan) {
  if (!plan.overlay) return;
  for (const StagedBlock& staged : plan.overlay->staged()) {
    const uint64_t at = staged.block.value * plan.overlay->block_size();
    image.write(at, staged.after.first(std::min<uint64_t>(staged.after.size(), image.size() - at)));
  }
}

void check_proven_repair(const TestImage& image, RepairPolicy policy) {
  const Image opened = value_or_throw(Image::open(image.path()));
  const RepairPlan plan = plan_of(opened, policy);
  INFO(describe(plan.before.findings) << "after:\n" << describe(plan.after.findings));
  CHECK(plan.proven_clean);
  apply(image, plan);
  const Outcome judgement = image.e2fsck_report();
  INFO(judgement.output);
  CHECK(judgement.status == 0);
  CHECK_FALSE(judgement.output.contains("? no"));
}

bool is_at(const Finding& finding, Problem problem, const Place& place) {
  if (finding.problem != problem) return false;
  if (place.group && finding.group != GroupNo(*place.group)) return false;
  if (place.inode && finding.inode != InodeNo(*place.inode)) return false;
  if (place.logical && finding.logical != place.logical) return false;
  if (place.block &&
      (!finding.block || *place.block < finding.block->value || *place.block - finding.block->value >= finding.block_count))
    return false;
  return place.field.empty() || finding.field == place.field;
}

std::string describe(const std::vector<Finding>& findings) {
  std::string result;
  for (const Finding& f : findings) {
    const auto [expected, found] = texts_of(f.evidence);
    result += fmt::format("{} group {} inode {} block {}+{} logical {} path '{}' field '{}' expected '{}' found '{}' {}\n",
                          info(f.problem).code, text(f.group), text(f.inode), text(f.block), f.block_count, text(f.logical),
                          f.path, f.field, expected, found, name(f.repair));
  }
  return result;
}

}  // namespace extscrub::test
