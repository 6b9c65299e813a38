// The rounds of a repair: stage, audit again over the overlay, until the image is proven clean or nothing changes.
#include <algorithm>
#include <ctime>
#include <tuple>

#include "audit/repair.h"

namespace extscrub {

namespace {

constexpr int kMaxRounds = 8;

bool has(const std::vector<Finding>& findings, Problem problem) {
  return std::ranges::any_of(findings, [=](const Finding& f) { return f.problem == problem; });
}

bool is_error(const Finding& f) { return info(f.problem).severity == Severity::error; }

// Where nothing may be staged: the replay would write over it, or the superblock itself is not to be believed.
bool must_not_touch(const Audit& audit) {
  return has(audit.findings, Problem::journal_needs_recovery) || has(audit.findings, Problem::superblock_primary_bad);
}

Result<size_t> run_round(RepairRound& round) {
  size_t answered = 0;
  for (auto* repair : {repair_inodes, repair_groups, repair_superblock}) {
    auto n = repair(round);
    if (!n) return std::unexpected(n.error());
    answered += *n;
  }
  return answered;
}

auto place(const Finding& f) { return std::tie(f.problem, f.group, f.inode, f.block, f.logical, f.field); }

// An error in `after` that was not in `before`: a repair made something worse.
bool made_worse(const Audit& before, const Audit& after) {
  return std::ranges::any_of(after.findings, [&](const Finding& f) {
    return is_error(f) && std::ranges::none_of(before.findings, [&](const Finding& b) { return place(b) == place(f); });
  });
}

void mark_left(std::vector<Finding>& findings, RepairPolicy policy) {
  for (Finding& f : findings)
    if (f.repair == RepairState::none && is_error(f) && policy != RepairPolicy::none) f.repair = RepairState::left;
}

// A repair that is staged in the first round but whose finding is still there after the last has not worked.
void settle(RepairPlan& plan, RepairPolicy policy) {
  for (Finding& f : plan.before.findings) {
    const bool still = std::ranges::any_of(plan.after.findings, [&](const Finding& a) { return place(a) == place(f); });
    if (is_error(f)) f.repair = still || plan.overlay->empty() ? RepairState::none : RepairState::staged;
    if (f.problem == Problem::superblock_not_clean || f.problem == Problem::superblock_error_mark)
      f.repair = plan.proven_clean && policy != RepairPolicy::none ? RepairState::staged : RepairState::none;
  }
  mark_left(plan.before.findings, policy);
}

// What the final superblock will say goes into the overlay before the proof, so that the proof covers it.
Result<void> finish(RepairPlan& plan, uint32_t now) {
  if (plan.after.verdict != Verdict::clean && !plan.overlay->staged().empty())
    if (auto r = stage_state(*plan.overlay, false, now); !r) return r;
  return {};
}

Result<void> take_final_superblock(RepairPlan& plan) {
  const uint32_t size = plan.overlay->block_size();
  std::vector<std::byte> block(size);
  if (auto r = plan.overlay->read(BlockNo(kSuperblockOffset / size), block); !r) return r;
  const Bytes super = Bytes(block).subspan(kSuperblockOffset % size, kSuperblockSize);
  std::ranges::copy(super, plan.final_superblock.begin());
  return {};
}

}  // namespace

Result<RepairPlan> plan_repairs(const Image& image, RepairPolicy policy, const AuditOptions& options) {
  RepairPlan plan;
  auto run = run_audit(image, nullptr, options);
  if (!run) return std::unexpected(run.error());
  plan.before = plan.after = run->audit;
  const uint32_t block_size = run->fs.geometry.block_size;
  const auto now = static_cast<uint32_t>(std::time(nullptr));
  plan.overlay.emplace(image, block_size);
  plan.proven_clean = plan.before.verdict == Verdict::clean;
  const bool released = policy != RepairPolicy::none && !must_not_touch(plan.before) && run->plain && !run->plain->empty();
  if (released) {  // the repairs build on what the recovery staged
    plan.overlay = std::move(*run->plain);
    run->fs.blocks = &*plan.overlay;
  }

  const bool marked = has(plan.before.findings, Problem::superblock_not_clean) ||
                      has(plan.before.findings, Problem::superblock_error_mark);
  if (policy != RepairPolicy::none && !must_not_touch(plan.before) && (!plan.proven_clean || marked)) {
    while (plan.rounds < kMaxRounds) {
      RepairRound round{*run, *plan.overlay, policy, run->audit.findings, now};
      const size_t before_round = plan.overlay->staged().size();
      auto answered = run_round(round);
      if (!answered) return std::unexpected(answered.error());
      const bool sound = plan.after.verdict == Verdict::clean || plan.after.verdict == Verdict::recoverable;
      if (*answered == 0 && !((marked || released) && plan.rounds == 0 && sound)) break;
      if (auto r = stage_state(*plan.overlay, true, now); !r) return std::unexpected(r.error());
      ++plan.rounds;
      run = run_audit(image, &*plan.overlay, options);
      if (!run) return std::unexpected(run.error());
      plan.after = run->audit;
      if (plan.after.verdict == Verdict::clean || plan.overlay->staged().size() == before_round) break;
    }
    plan.proven_clean = plan.after.verdict == Verdict::clean;
    if (made_worse(plan.before, plan.after)) {
      plan.overlay.emplace(image, block_size);  // nothing of it is written
      plan.after = plan.before;
      plan.proven_clean = false;
    }
    if (auto r = finish(plan, now); !r) return std::unexpected(r.error());
  }
  settle(plan, policy);
  if (auto r = take_final_superblock(plan); !r) return std::unexpected(r.error());
  return plan;
}

}  // namespace extscrub
