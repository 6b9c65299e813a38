#include "audit/finding.h"

#include <algorithm>
#include <tuple>

namespace extscrub {

namespace {

auto key(const Finding& f) {
  return std::tie(f.group, f.inode, f.block, f.problem, f.logical, f.block_count, f.field, f.expected, f.found, f.path);
}

}  // namespace

void sort_findings(std::vector<Finding>& findings) {
  const auto less = [](const Finding& a, const Finding& b) {
    const auto place = [](const Finding& f) { return std::tie(f.group, f.inode, f.block); };
    if (place(a) != place(b)) return place(a) < place(b);
    if (a.problem != b.problem) return info(a.problem).code < info(b.problem).code;
    return key(a) < key(b);
  };
  std::ranges::sort(findings, less);
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
