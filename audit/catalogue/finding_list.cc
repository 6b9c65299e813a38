#include "audit/catalogue/finding_list.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace extscrub {

bool is_always_kept(Problem problem) {
  using enum Problem;
  return problem == read_error || problem == image_truncated || problem == group_inode_table_location ||
         problem == group_metadata_overlap || problem == inodes_lost;
}

void Findings::make_room() {
  constexpr size_t kSlack = 1024;  // so that a small limit does not sort for each finding
  const size_t more = std::max(most_ / 4, kSlack), least = std::max(most_, list_.size());
  room_ = least > kUnlimited - more ? kUnlimited : least + more;
}

void Findings::count(const FindingCount& more) {
  const auto same = [&](const FindingCount& c) { return c.problem == more.problem && c.repair == more.repair; };
  if (const auto it = std::ranges::find_if(past_, same); it != past_.end())
    it->count += more.count;
  else
    past_.push_back(more);
}

void Findings::trim() {
  const auto limited = std::partition(list_.begin(), list_.end(), [](const Finding& f) { return is_always_kept(f.problem); });
  if (static_cast<size_t>(list_.end() - limited) > most_) {
    const auto cut = limited + static_cast<std::ptrdiff_t>(most_);
    std::nth_element(limited, cut, list_.end(), comes_before);
    for (auto it = cut; it != list_.end(); ++it) count({it->problem, it->repair, 1});
    list_.erase(cut, list_.end());
  }
  make_room();
}

void Findings::take(Findings&& other) {
  std::ranges::move(other.list_, std::back_inserter(list_));
  for (const FindingCount& c : other.past_) count(c);
  other.list_ = {};
  other.past_.clear();
  trim();
}

std::vector<Finding> Findings::take_kept() {
  trim();
  std::vector<Finding> kept = std::exchange(list_, {});
  sort_findings(kept);
  return kept;
}

std::vector<FindingCount> Findings::take_counts() {
  std::vector<FindingCount> counts = std::exchange(past_, {});
  std::ranges::sort(counts, [](const FindingCount& a, const FindingCount& b) {
    return std::pair(info(a.problem).code, a.repair) < std::pair(info(b.problem).code, b.repair);
  });
  return counts;
}

std::vector<FindingCount> limit_findings(std::vector<Finding>& findings, size_t most) {
  Findings limited(most);
  for (Finding& f : findings) limited.emplace_back() = std::move(f);
  findings = limited.take_kept();
  return limited.take_counts();
}

}  // namespace extscrub
