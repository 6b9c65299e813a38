#include "audit/catalogue/finding.h"

#include <algorithm>
#include <tuple>

namespace extscrub {

namespace {

auto key(const Finding& f) {
  return std::tie(f.group, f.inode, f.block, f.problem, f.logical, f.block_count, f.field, f.expected, f.found, f.path);
}

auto where(const Finding& f) { return std::tie(f.group, f.inode, f.block); }

}  // namespace

bool place_comes_before(const Finding& a, const Finding& b) {
  if (where(a) != where(b)) return where(a) < where(b);
  return a.problem != b.problem && info(a.problem).code < info(b.problem).code;
}

bool comes_before(const Finding& a, const Finding& b) {
  if (where(a) != where(b) || a.problem != b.problem) return place_comes_before(a, b);
  return key(a) < key(b);
}

void sort_findings(std::vector<Finding>& findings) {
  std::ranges::sort(findings, comes_before);
  const auto [first, last] = std::ranges::unique(findings, [](const Finding& a, const Finding& b) { return key(a) == key(b); });
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
