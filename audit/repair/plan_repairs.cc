// The rounds of a repair: stage, audit again over the overlay, until the image is proven clean or nothing changes.
#include <algorithm>
#include <ctime>
#include <set>

#include "audit/auditor.h"
#include "audit/catalogue/finding_id.h"
#include "audit/lost/lost_writes.h"
#include "audit/repair/repair.h"
#include "audit/run/paths.h"
#include "audit/stage/primary_superblock.h"
#include "audit/stage/write_waves.h"
#include "scan/filesystem/inode_table.h"
#include "scan/filesystem/table_block.h"
#include "scan/journal/journal.h"

namespace extscrub {

namespace {

constexpr int kMaxRounds = 16;

using Repair = Result<size_t>(RepairRound&);

// The function of each pass; none where the rounds do it.
constexpr Repair* by_plan = nullptr;
constexpr auto kRepairs = std::to_array<Repair*>({
#define PASS(id, name, function, turn, needs, what) function,
#include "audit/catalogue/passes.def"
#undef PASS
});

// Those of the same turn, in layers: from what everything else is found by to what is counted last.
std::vector<std::vector<Pass>> passes_in(Turn::When when) {
  std::vector<std::vector<Pass>> layers;
  for (const PassInfo& pass : all_passes()) {
    if (pass.turn.when != when) continue;
    if (layers.empty() || info(layers.back().front()).turn.layer != pass.turn.layer) layers.emplace_back();
    layers.back().push_back(pass.pass);
  }
  return layers;
}

const std::vector<std::vector<Pass>>& layers() {
  static const auto all = passes_in(Turn::in_layer);
  return all;
}

// What the pass is for is done, as far as others build on it.
bool has_succeeded(Pass pass, const FileSystem& fs) {
  if (pass != Pass::descriptors) return true;
  return valid_location(fs.geometry, GroupNo(), fs.groups[0].inode_table, fs.geometry.itable_blocks);
}

bool may_run(Pass pass, const FileSystem& fs) {
  const PassSet needs = info(pass).needs;
  return std::ranges::all_of(all_passes(),
                             [&](const PassInfo& other) { return !needs.has(other.pass) || has_succeeded(other.pass, fs); });
}

bool has(const std::vector<Finding>& findings, Problem problem) {
  return std::ranges::any_of(findings, [=](const Finding& f) { return f.problem == problem; });
}

// Copies and hashes that nothing is gone by as long as all is well are mended before they are needed.
bool is_done(const Audit& audit) {
  return audit.verdict == Verdict::clean && std::ranges::none_of(audit.findings, [](const Finding& f) {
           const ProblemInfo& problem = info(f.problem);
           return problem.severity == Severity::warning && problem.repair == RepairClass::safe && problem.mend.alone;
         });
}

bool is_error(const Finding& f) { return info(f.problem).severity == Severity::error; }

// Where nothing may be staged: the image is not whole; part of the log would be lost, or be put over the repair by the next
// mount.
bool must_not_touch(const Audit& audit, RepairPolicy policy) {
  if (has(audit.findings, Problem::image_truncated)) return true;
  const JournalFacts& journal = audit.recovery.journal;
  if (journal.external && journal.flagged) return true;
  if (policy == RepairPolicy::all) return false;
  return (journal.flagged && !audit.recovery.replayed) || !journal.whole || has(audit.findings, Problem::superblock_primary_bad);
}

// Of the same kind at the same place. What is left of a shared range, when some of its owners were given copies, begins
// elsewhere.
FindingId damage(const Finding& f) {
  if (f.problem == Problem::block_multiply_claimed) return {f.problem, f.group, f.inode, {}, {}, {}};
  return id_of(f);
}

std::set<FindingId> all(const std::vector<Finding>& findings, FindingId (*what)(const Finding&)) {
  std::set<FindingId> places;
  for (const Finding& f : findings) places.insert(what(f));
  return places;
}

// An error in `after` that was not in `before`: a repair made something worse.
bool made_worse(const Audit& before, const Audit& after) {
  const auto known = all(before.findings, damage);
  return std::ranges::any_of(after.findings, [&](const Finding& f) { return is_error(f) && !known.contains(damage(f)); });
}

void mark_left(std::vector<Finding>& findings, RepairPolicy policy) {
  for (Finding& f : findings)
    if (f.repair == RepairState::none && is_error(f) && policy != RepairPolicy::none) f.repair = RepairState::left;
}

// A repair that is staged in the first round but whose finding is still there after the last has not worked.
void settle(RepairPlan& plan, RepairPolicy policy) {
  const auto left = all(plan.after.findings, id_of);
  for (Finding& f : plan.before.findings) {
    f.repair = left.contains(id_of(f)) || plan.overlay->empty() ? RepairState::none : RepairState::staged;
    if (f.problem == Problem::superblock_not_clean || f.problem == Problem::superblock_error_mark)
      f.repair = plan.proven_clean && policy != RepairPolicy::none ? RepairState::staged : RepairState::none;
  }
  mark_left(plan.before.findings, policy);
}

Result<void> take_final_superblock(RepairPlan& plan) {
  const uint32_t size = plan.overlay->block_size();
  std::vector<std::byte> block(size);
  if (auto r = plan.overlay->read(BlockNo(kSuperblockOffset / size), block); !r) return r;
  const Bytes super = Bytes(block).subspan(kSuperblockOffset % size, kSuperblockSize);
  std::ranges::copy(super, plan.final_superblock.begin());
  return {};
}

Result<ext2_super_block> primary_superblock(const Overlay& overlay) {
  std::vector<std::byte> block(overlay.block_size());
  if (auto r = overlay.read(BlockNo(kSuperblockOffset / block.size()), block); !r) return std::unexpected(r.error());
  return load<ext2_super_block>(block, kSuperblockOffset % block.size());
}

// Not valid; and what only a proven repair changes is as it was before: the error mark and what was recorded with it, the
// time of the last check. Where no more can be mended, a later scrub then has nothing to write.
Result<void> take_back_state(Overlay& overlay, const ext2_super_block& before, uint32_t now) {
  if (before.s_magic != EXT2_SUPER_MAGIC) return stage_state(overlay, false, now);
  return edit_primary_superblock(overlay, [&](ext2_super_block& s) {
    s.s_state = before.s_state & static_cast<uint16_t>(~EXT2_VALID_FS);
    s.s_lastcheck = before.s_lastcheck;
    s.s_mnt_count = before.s_mnt_count;
    set_error_fields(s, error_fields(before));
  });
}

std::optional<BlockNo> find_journal_superblock(const FileSystem& fs) {
  const Journal journal = open_journal(fs, nullptr);
  if (!journal.facts.present || journal.facts.external) return {};
  return journal.log.place(journal.log.super_block());
}

bool same_findings(const Audit& a, const Audit& b) {
  return std::ranges::equal(a.findings, b.findings, [](const Finding& x, const Finding& y) { return id_of(x) == id_of(y); });
}

// The rounds over one overlay.
class Rounds {
 public:
  Rounds(const Image& image, RepairPolicy policy, AuditOptions options, RepairPlan& plan, AuditRun& run)
      : image_(image), policy_(policy), options_(options), plan_(plan), run_(run), first_(plan.before.findings), now_(plan.time) {
    options_.history = false;
  }

  // Before anything else: what writes were lost of. Returns how many blocks were put back; an audit has seen the outcome.
  Result<size_t> put_back_lost() {
    size_t restored = 0;
    for (const LostWrite& lost : run_.lost) {
      if (belongs_to_another(lost) && lost.content.empty() && policy_ == RepairPolicy::all) {
        if (auto r = give_up(lost); !r) return std::unexpected(r.error());
        ++restored;
        continue;
      }
      if (lost.content.empty() || (lost.evidence == LostWriteEvidence::time && !options_.restore_lost)) {
        left_.push_back(lost);
        continue;
      }
      if (auto r = put_back(lost, *plan_.overlay); !r) return std::unexpected(r.error());
      ++restored;
    }
    if (restored == 0) return restored;
    if (auto r = audit_again(); !r) return std::unexpected(r.error());
    return restored;
  }

  // `marked`: the state of the superblock has to change even when nothing else does.
  Result<void> go(bool marked) {
    const auto superblock_before = primary_superblock(*plan_.overlay);
    if (!superblock_before) return std::unexpected(superblock_before.error());
    while (plan_.rounds < kMaxRounds) {
      auto answered = first_layer_ < layers().size() ? one_round() : Result<size_t>(0);
      if (!answered) return std::unexpected(answered.error());
      const bool sound = plan_.after.verdict == Verdict::clean || plan_.after.verdict == Verdict::recoverable;
      if (*answered == 0 && !sound) answered = last_resort();
      if (!answered) return std::unexpected(answered.error());
      if (*answered == 0 && !(marked && plan_.rounds == 0 && sound)) break;
      if (auto r = stage_state(*plan_.overlay, true, now_); !r) return r;
      // From here on the primary is the one to go by.
      if (has(plan_.after.findings, Problem::superblock_primary_bad) && policy_ == RepairPolicy::all) options_.superblock.reset();
      ++plan_.rounds;
      const Audit before = plan_.after;
      if (auto r = audit_again(); !r) return r;
      // A layer that changes nothing is left out until another one does.
      first_layer_ = same_findings(before, plan_.after) ? last_layer_ + 1 : 0;
      if (is_done(plan_.after)) break;
    }
    if (plan_.after.verdict != Verdict::clean && !plan_.overlay->staged().empty())
      if (auto r = take_back_state(*plan_.overlay, *superblock_before, now_); !r) return r;
    if (!before_) before_.emplace(UsedBefore{std::move(run_.scan->claims), std::move(run_.scan->claimed_again)});
    plan_.waves = write_waves(run_.fs, *before_, plan_.overlay->staged());
    return {};
  }

 private:
  // The findings of lost writes are those of the first audit: what was put back is no more, what was not stays.
  Result<void> audit_again() {
    auto run = run_audit(image_, &*plan_.overlay, options_);
    if (!run) return std::unexpected(run.error());
    if (!before_) before_.emplace(UsedBefore{std::move(run_.scan->claims), std::move(run_.scan->claimed_again)});
    run_ = std::move(*run);
    std::erase_if(left_, [this](const LostWrite& lost) { return is_settled(lost); });
    if (!left_.empty()) {
      Findings lost;
      check_lost_writes(left_, lost);
      std::ranges::move(lost.take_kept(), std::back_inserter(run_.audit.findings));
      sort_findings(run_.audit.findings);
      run_.audit.verdict = verdict_of(run_.audit.findings, run_.audit.past);
    }
    plan_.after = run_.audit;
    return {};
  }

  // A block of a directory, a map or attributes.
  [[nodiscard]] static bool belongs_to_another(const LostWrite& lost) {
    return lost.evidence == LostWriteEvidence::misplaced && lost.owner;
  }

  // What lies there must not become the owner's: it is cleared, and what makes a sound block of that finds nothing to believe.
  Result<void> give_up(const LostWrite& lost) {
    auto block = plan_.overlay->edit(lost.block);
    if (!block) return std::unexpected(block.error());
    std::ranges::fill(*block, std::byte{0});
    const auto f = std::ranges::find_if(run_.audit.findings, [&](const Finding& f) {
      return f.problem == Problem::metadata_block_misplaced && f.block == lost.block;
    });
    plan_.losses.push_back({Problem::metadata_block_misplaced,
                            lost.owner,
                            f == run_.audit.findings.end() ? "" : f->path,
                            fmt::format("what was in block {}, which was written over with {}", lost.block,
                                        lost.belongs_to ? fmt::format("what belongs to inode {}", lost.belongs_to)
                                                        : std::string("what belongs elsewhere")),
                            {}});
    return {};
  }

  // Another repair has written the block; of one that holds what belongs elsewhere, so that it does not any more.
  [[nodiscard]] bool is_settled(const LostWrite& lost) const {
    if (!plan_.overlay->has(lost.block)) return false;
    const auto place = lost.evidence == LostWriteEvidence::misplaced ? find_table_block(run_.fs, lost.block) : std::nullopt;
    if (!place) return true;
    std::vector<std::byte> bytes(run_.fs.geometry.block_size);
    return plan_.overlay->read(lost.block, bytes) && !find_home(run_.fs, *place, bytes);
  }

  // What lies in a block of an inode table that a file claims too may be that file's data, and no inode.
  [[nodiscard]] bool lies_in_claimed(const Finding& f) const {
    const InodeScan& scan = *run_.scan;
    if (!scan.any_claimed_again || !f.inode || !run_.fs.geometry.valid_inode(*f.inode)) return false;
    const BlockNo at = place_of(run_.fs, *f.inode).block;
    return run_.fs.geometry.contains(at) && scan.claimed_again.test(run_.fs.geometry, at);
  }

  // A block that holds what belongs elsewhere proves it as long as it is left alone: no safe repair touches it, or an inode in
  // it.
  [[nodiscard]] bool lies_in_misplaced(const Finding& f) const {
    return f.inode && std::ranges::any_of(left_, [&](const LostWrite& lost) {
             if (belongs_to_another(lost) && f.block == lost.block) return true;
             const auto place =
                 lost.evidence == LostWriteEvidence::misplaced ? find_table_block(run_.fs, lost.block) : std::nullopt;
             return place && *f.inode >= place->first && *f.inode - place->first < place->count;
           });
  }

  // Returns how many findings were answered.
  Result<size_t> one_round() {
    std::vector<Finding>& findings = run_.audit.findings;
    std::vector<Finding> aside;
    if (policy_ != RepairPolicy::all) {
      const auto rest = std::ranges::stable_partition(
          findings, [this](const Finding& f) { return !lies_in_misplaced(f) && !lies_in_claimed(f); });
      std::ranges::move(rest, std::back_inserter(aside));
      findings.erase(rest.begin(), rest.end());
    }
    auto answered = try_layers();
    std::ranges::move(aside, std::back_inserter(findings));
    sort_findings(findings);
    return answered;
  }

  Result<size_t> try_layers() {
    BlockAllocator blocks = free_blocks();
    const FindingIndex findings(run_.audit.findings);
    RepairRound round{run_, *plan_.overlay, policy_, findings, plan_.losses, now_, blocks};
    round.first = &first_;
    size_t answered = 0;
    for (size_t layer = first_layer_; layer < layers().size() && !round.stale; ++layer) {
      const auto n = try_layer(layers()[layer], round);
      if (!n) return std::unexpected(n.error());
      if (!*n) break;
      answered += **n;
      last_layer_ = layer;
    }
    return answered;
  }

  // Nothing where what they build on is not there.
  Result<std::optional<size_t>> try_layer(const std::vector<Pass>& passes, RepairRound& round) {
    size_t answered = 0;
    for (const Pass pass : passes) {
      if (!may_run(pass, run_.fs)) return std::nullopt;
      const auto n = kRepairs[static_cast<size_t>(pass)](round);
      if (!n) return std::unexpected(n.error());
      answered += *n;
    }
    return answered;
  }

  // What is tried only when nothing else changes anything.
  Result<size_t> last_resort() {
    if (has(plan_.before.findings, Problem::read_error)) return 0;
    BlockAllocator blocks = free_blocks();
    const FindingIndex findings(run_.audit.findings);
    RepairRound round{run_, *plan_.overlay, policy_, findings, plan_.losses, now_, blocks};
    last_layer_ = layers().size() - 1;
    size_t answered = 0;
    for (const auto& passes : passes_in(Turn::last)) {
      const auto n = try_layer(passes, round);
      if (!n) return std::unexpected(n.error());
      answered += n->value_or(0);
    }
    return answered;
  }

  BlockAllocator free_blocks() const {
    return {run_.fs, *run_.scan, policy_ == RepairPolicy::all, before_ ? &before_->claims : nullptr};
  }

  const Image& image_;
  RepairPolicy policy_;
  AuditOptions options_;
  RepairPlan& plan_;
  AuditRun& run_;
  const FindingIndex first_;  // before the first round
  uint32_t now_;
  size_t first_layer_ = 0, last_layer_ = 0;
  std::vector<LostWrite> left_;        // lost writes that are not put back
  std::optional<UsedBefore> before_;  // from the second round on
};

// Also what no repair changes: a block of it may be claimed by another inode. An error noted in its superblock is no
// damage to it.
bool has_damaged_journal_inode(const Audit& audit) {
  return std::ranges::any_of(audit.findings, [&](const Finding& f) {
    return f.inode == audit.recovery.journal.inode && info(f.problem).severity != Severity::note &&
           f.problem != Problem::journal_error;
  });
}

std::optional<std::array<std::byte, kSuperblockSize>> read_superblock(const Image& image) {
  std::array<std::byte, kSuperblockSize> bytes;
  if (image.size() < kSuperblockOffset + kSuperblockSize || !image.read(kSuperblockOffset, bytes)) return std::nullopt;
  return bytes;
}

}  // namespace

bool RepairRound::may(Problem problem) const {
  switch (info(problem).repair) {
    case RepairClass::none: return false;
    case RepairClass::safe: return policy != RepairPolicy::none;
    case RepairClass::lossy: return policy == RepairPolicy::all;
  }
  return false;
}

void RepairRound::lose(const Finding& cause, std::string what, std::optional<ByteRange> bytes) {
  losses.push_back({cause.problem, cause.inode.value_or(InodeNo()), cause.path, std::move(what), bytes});
}

namespace {

// The run that has replayed a log which the file system says is not needed, where that proves it to be whole and right: a
// flag is lost more easily than a log is made up.
std::optional<AuditRun> with_log_replayed(const Image& image, const Audit& before, RepairPolicy policy, AuditOptions options) {
  if (policy != RepairPolicy::all || options.drop_unflagged || !has(before.findings, Problem::journal_not_empty)) return {};
  options.replay_unflagged = true;
  auto run = run_audit(image, nullptr, options);
  if (!run || !run->audit.recovery.replayed || !run->audit.recovery.journal.whole) return {};
  if (run->audit.verdict != Verdict::clean && run->audit.verdict != Verdict::recoverable) return {};
  return std::move(*run);
}

}  // namespace

// The rounds see all findings, whatever the limit for reports: a repair that is safe is safe because there is no finding that
// speaks against it, and a round that does not see all of them cannot tell. Who fears for memory limits the process.
Result<RepairPlan> plan_repairs(const Image& image, RepairPolicy policy, const AuditOptions& given) {
  AuditOptions options = given;
  options.max_findings = kUnlimited;
  RepairPlan plan;
  plan.superblock = read_superblock(image);
  auto run = run_audit(image, nullptr, options);
  if (!run) return std::unexpected(run.error());
  plan.before = plan.after = run->audit;
  plan.proven_clean = plan.before.verdict == Verdict::clean;
  plan.time = options.now.value_or(static_cast<uint32_t>(std::time(nullptr)));
  plan.journal_superblock = find_journal_superblock(run->fs);
  LogInUse in_use{run->log_head, {}};
  for (const LostWrite& lost : run->lost)
    if (lost.logged) in_use.kept.push_back(lost.log_block);

  if (auto replayed = with_log_replayed(image, plan.before, policy, options)) {
    *run = std::move(*replayed);
    plan.after = run->audit;
  }

  const uint32_t block_size = run->fs.geometry.block_size;
  const bool may_touch = policy != RepairPolicy::none && !must_not_touch(plan.before, policy);
  const bool recovered = may_touch && run->plain && !run->plain->empty();
  plan.overlay.emplace(image, block_size, options.overlay_memory);
  if (recovered) plan.overlay = std::move(*run->plain);  // the repairs build on what the recovery staged
  run->fs.blocks = &*plan.overlay;
  if (may_touch) {
    const bool marked = recovered || has(plan.before.findings, Problem::superblock_not_clean) ||
                        has(plan.before.findings, Problem::superblock_error_mark);
    Rounds rounds(image, policy, options, plan, *run);
    const auto restored = rounds.put_back_lost();
    if (!restored) return std::unexpected(restored.error());
    if (!is_done(plan.before) || marked || *restored > 0)
      if (auto r = rounds.go(marked || *restored > 0); !r) return std::unexpected(r.error());
    plan.proven_clean = plan.after.verdict == Verdict::clean;
    if (made_worse(plan.before, plan.after)) {
      plan.overlay.emplace(image, block_size);  // nothing of it is written
      plan.after = plan.before;
      plan.proven_clean = false;
      plan.waves.clear();
      plan.losses.clear();
    }
  }
  settle(plan, policy);
  if (auto r = add_paths(*run, plan.losses, options.progress); !r) return std::unexpected(r.error());
  if (!plan.overlay->staged().empty()) {
    plan.journal = find_journal_space(image, *plan.overlay, plan.before.recovery.journal, in_use);
    if (plan.journal->unfit.empty() && has_damaged_journal_inode(plan.before))
      plan.journal->unfit = "the journal's inode is damaged";
  }
  if (auto r = take_final_superblock(plan); !r) return std::unexpected(r.error());
  return plan;
}

}  // namespace extscrub
