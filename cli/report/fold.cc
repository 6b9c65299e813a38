// Findings come sorted by (group, inode, block, code), so two runs in the same inodes lie interleaved: A B A B.
// Therefore each finding is held against the last run of its own kind, found in a map, and not against its neighbour.
#include "cli/report/fold.h"

#include <map>
#include <string_view>
#include <tuple>

namespace extscrub {

namespace {

enum class Direction : uint8_t { unknown, blocks, inodes, groups };

struct OpenRun {
  FindingRun run;
  Direction direction = Direction::unknown;
};

// What must be equal for two findings to be alike.
auto kind(const Finding& f) {
  return std::tuple<Problem, std::string_view, RepairState, Remedy, EvidenceTexts>(f.problem, f.field, f.repair, f.remedy,
                                                                                   words_of(f.evidence));
}

FindingRun run_of(const Finding& f, size_t place) {
  FindingRun run;
  run.first = f;
  run.members = {place};
  if (f.group) run.groups = {*f.group, *f.group};
  if (f.inode) run.inodes = {*f.inode, *f.inode};
  if (f.block) run.blocks = {*f.block, *f.block + (f.block_count > 0 ? f.block_count - 1 : 0)};
  if (f.logical) run.logical = {*f.logical, *f.logical + (f.block_count > 0 ? f.block_count - 1 : 0)};
  return run;
}

template <class N>
bool same(const std::optional<Range<N>>& a, const std::optional<Range<N>>& b) {
  return a.has_value() == b.has_value() && (!a || (a->first == b->first && a->last == b->last));
}

// `b` begins right behind `a`.
template <class N>
bool adjoins(const std::optional<Range<N>>& a, const std::optional<Range<N>>& b) {
  if (!a || !b) return false;
  N next = a->last;
  return ++next == b->first && a->last < b->first;
}

// `b` begins where `a` ends, or right behind it; or neither is there.
template <class N>
bool touches(const std::optional<Range<N>>& a, const std::optional<Range<N>>& b) {
  return (!a && !b) || adjoins(a, b) || (a && b && a->last == b->first);
}

// The kind of place in which `b` goes on from `a`, everything else being equal or moving along with it.
Direction direction_between(const FindingRun& a, const FindingRun& b) {
  if (adjoins(a.blocks, b.blocks) && same(a.inodes, b.inodes) && a.first.path == b.first.path && touches(a.groups, b.groups) &&
      ((!a.logical && !b.logical) || adjoins(a.logical, b.logical)))
    return Direction::blocks;
  if (adjoins(a.inodes, b.inodes) && touches(a.groups, b.groups) && touches(a.blocks, b.blocks) && same(a.logical, b.logical))
    return Direction::inodes;
  if (adjoins(a.groups, b.groups) && !a.inodes && !b.inodes && !a.blocks && !b.blocks) return Direction::groups;
  return Direction::unknown;
}

template <class N>
void extend(std::optional<Range<N>>& a, const std::optional<Range<N>>& b) {
  if (a) a->last = b->last;
}

bool extend(OpenRun& open, const FindingRun& next) {
  const Direction direction = direction_between(open.run, next);
  if (direction == Direction::unknown) return false;
  // The second member decides which way the run goes.
  if (open.direction != Direction::unknown && open.direction != direction) return false;
  if (open.direction == Direction::unknown) open.direction = direction;
  FindingRun& run = open.run;
  extend(run.groups, next.groups);
  extend(run.inodes, next.inodes);
  extend(run.blocks, next.blocks);
  extend(run.logical, next.logical);
  run.same_values &= run.first.evidence == next.first.evidence;
  if (open.direction == Direction::inodes) run.first.path.clear();
  run.members.push_back(next.members.front());
  return true;
}

}  // namespace

std::vector<FindingRun> fold_findings(const std::vector<Finding>& findings) {
  std::vector<OpenRun> runs;
  std::map<decltype(kind(findings[0])), size_t> last_of_kind;  // index into `runs`
  for (size_t i = 0; i < findings.size(); ++i) {
    const Finding& finding = findings[i];
    const auto [it, is_new] = last_of_kind.try_emplace(kind(finding), runs.size());
    FindingRun single = run_of(finding, i);
    if (!is_new && extend(runs[it->second], single)) continue;
    it->second = runs.size();
    runs.push_back({std::move(single)});
  }
  std::vector<FindingRun> folded;
  folded.reserve(runs.size());
  for (OpenRun& open : runs) folded.push_back(std::move(open.run));
  return folded;
}

std::vector<FindingRun> unfolded_findings(const std::vector<Finding>& findings) {
  std::vector<FindingRun> runs;
  runs.reserve(findings.size());
  for (size_t i = 0; i < findings.size(); ++i) runs.push_back(run_of(findings[i], i));
  return runs;
}

}  // namespace extscrub
