#include "cli/report/finding_groups.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "audit/rules/root_causes.h"

namespace extscrub {

namespace {

constexpr size_t kMostRuns = 3;  // of a group, each on a line of its own

enum class Detail : uint8_t { runs, directories, codes };

class Grouping {
 public:
  Grouping(const std::vector<Finding>& findings, uint64_t cluster_blocks) : findings_(findings), consequences_(findings.size()) {
    for (const size_t i : garbage_inodes(findings)) garbage_.insert(i);
    const auto causes = root_causes(findings, cluster_blocks);
    for (size_t i = 0; i < findings.size(); ++i) {
      if (!causes[i])
        roots_.push_back(i);
      else
        ++consequences_[*causes[i]][likeness(i)];
    }
    for (const size_t i : garbage_) ++consequences_[i][likeness(i)];
  }

  [[nodiscard]] FindingGroups with(Detail detail) const {
    std::map<Key, std::vector<size_t>> parts;
    for (const size_t i : roots_) parts[key(i, detail)].push_back(i);
    FindingGroups result;
    for (const auto& [key, positions] : parts) {
      std::vector<FindingGroup> groups = runs_of_part(positions);
      if (detail != Detail::runs && groups.size() > kMostRuns) {
        groups = {joined(std::move(groups))};
        result.put_together = true;
      }
      std::ranges::move(groups, std::back_inserter(result.groups));
    }
    std::ranges::sort(result.groups, {}, [](const FindingGroup& g) { return g.positions.front(); });
    return result;
  }

 private:
  using Likeness = std::tuple<Problem, RepairState, Remedy>;
  using Key = std::tuple<bool, std::optional<Likeness>, bool, std::string_view>;

  [[nodiscard]] Likeness likeness(size_t i) const { return {findings_[i].problem, findings_[i].repair, findings_[i].remedy}; }

  // Of all that is said of the garbage inode: what is left, and what no safe repair mends, come first.
  [[nodiscard]] Likeness hardest(size_t i) const {
    using Ease = std::tuple<bool, bool, RepairState>;
    const auto ease = [](const auto& entry) {
      const auto [problem, repair, remedy] = entry.first;
      const bool safe = remedy == Remedy::scrub || (remedy == Remedy::by_class && info(problem).repair == RepairClass::safe);
      return Ease(repair != RepairState::left, safe, repair);
    };
    Ease least(true, true, RepairState::left);
    for (const auto& entry : consequences_[i]) least = std::min(least, ease(entry));
    return {std::get<1>(least) ? Problem::inode_dtime_set : Problem::inode_checksum, std::get<RepairState>(least),
            Remedy::by_class};
  }

  // What the line of a group says of it.
  [[nodiscard]] Likeness shown(size_t i) const { return garbage_.contains(i) ? hardest(i) : likeness(i); }

  [[nodiscard]] Key key(size_t i, Detail detail) const {
    if (detail == Detail::runs) return {};
    const Finding& f = findings_[i];
    return {garbage_.contains(i), shown(i), f.path.empty(),
            detail == Detail::directories && !f.path.empty() ? directory_part(f.path) : ""};
  }

  [[nodiscard]] Finding place_of_root(size_t i) const {
    Finding f = findings_[i];
    if (!garbage_.contains(i)) return f;
    std::tie(f.problem, f.repair, f.remedy) = hardest(i);  // whichever speaks for it: inodes in a row are one run
    f.field = "garbage";
    f.block.reset();
    f.logical.reset();
    f.evidence = {};
    return f;
  }

  [[nodiscard]] std::vector<FindingGroup> runs_of_part(const std::vector<size_t>& positions) const {
    std::vector<Finding> part;
    for (const size_t i : positions) part.push_back(place_of_root(i));
    std::vector<FindingGroup> groups;
    for (FindingRun& run : fold_findings(part)) {
      FindingGroup& group = groups.emplace_back();
      for (const size_t member : run.members) group.positions.push_back(positions[member]);
      group.garbage = garbage_.contains(group.positions.front());
      if (group.garbage) run.first.field.clear();
      std::tie(group.like.problem, group.like.repair, group.like.remedy) = shown(group.positions.front());
      group.runs.push_back(std::move(run));
      group.consequences = consequences_of(group.positions);
    }
    return groups;
  }

  [[nodiscard]] FindingGroup joined(std::vector<FindingGroup>&& groups) const {
    FindingGroup all;
    all.garbage = groups.front().garbage;
    all.like = groups.front().like;
    for (FindingGroup& group : groups) {
      std::ranges::move(group.runs, std::back_inserter(all.runs));
      all.positions.insert(all.positions.end(), group.positions.begin(), group.positions.end());
    }
    std::ranges::sort(all.positions);
    all.consequences = consequences_of(all.positions);
    return all;
  }

  [[nodiscard]] std::vector<AlikeFindings> consequences_of(const std::vector<size_t>& positions) const {
    std::map<Likeness, size_t> counts;
    for (const size_t i : positions)
      for (const auto& [like, count] : consequences_[i]) counts[like] += count;
    std::vector<AlikeFindings> all;
    for (const auto& [like, count] : counts) {
      AlikeFindings& alike = all.emplace_back();
      std::tie(alike.like.problem, alike.like.repair, alike.like.remedy) = like;
      alike.count = count;
    }
    std::ranges::stable_sort(all, std::ranges::greater(), &AlikeFindings::count);
    return all;
  }

  const std::vector<Finding>& findings_;
  std::vector<std::map<Likeness, size_t>> consequences_;  // by the finding that they follow from
  std::vector<size_t> roots_;
  std::set<size_t> garbage_;
};

size_t lines_of(const FindingGroups& groups) {
  size_t lines = groups.groups.size();
  for (const FindingGroup& group : groups.groups) lines += !group.consequences.empty();
  return lines;
}

}  // namespace

FindingGroups group_findings(const std::vector<Finding>& findings, uint64_t cluster_blocks, size_t most_lines) {
  const Grouping grouping(findings, cluster_blocks);
  for (const Detail detail : {Detail::runs, Detail::directories})
    if (FindingGroups groups = grouping.with(detail); lines_of(groups) <= most_lines) return groups;
  return grouping.with(Detail::codes);
}

std::string_view directory_part(std::string_view path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return {};
  return path.substr(0, std::max<size_t>(slash, 1));
}

}  // namespace extscrub
