#include "audit/catalogue/finding.h"

#include <algorithm>
#include <tuple>

namespace extscrub {

namespace {

// Behind the place and the code. Not the entry: the texts have it.
auto rest(const Finding& f) { return std::tie(f.logical, f.block_count, f.field); }

auto where(const Finding& f) { return std::tie(f.group, f.inode, f.block); }

bool is_same(const Finding& a, const Finding& b) {
  return where(a) == where(b) && a.problem == b.problem && rest(a) == rest(b) && texts_of(a.evidence) == texts_of(b.evidence) &&
         a.path == b.path;
}

}  // namespace

bool place_comes_before(const Finding& a, const Finding& b) {
  if (where(a) != where(b)) return where(a) < where(b);
  return a.problem != b.problem && info(a.problem).code < info(b.problem).code;
}

bool comes_before(const Finding& a, const Finding& b) {
  if (where(a) != where(b) || a.problem != b.problem) return place_comes_before(a, b);
  if (rest(a) != rest(b)) return rest(a) < rest(b);
  if (const auto order = texts_of(a.evidence) <=> texts_of(b.evidence); order != 0) return order < 0;
  return a.path < b.path;
}

void sort_findings(std::vector<Finding>& findings) {
  std::ranges::sort(findings, comes_before);
  const auto [first, last] = std::ranges::unique(findings, is_same);
  findings.erase(first, last);
}

std::string_view name(RepairState state) {
  switch (state) {
    case RepairState::none: return "none";
    case RepairState::staged: return "staged";
    case RepairState::made: return "made";
    case RepairState::left: return "left";
  }
  return "";
}

}  // namespace extscrub
