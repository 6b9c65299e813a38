// Runs of alike findings: the same problem in consecutive blocks, inodes or groups becomes one line of a text report.
// Pure functions: any thread.
#pragma once

#include <vector>

#include "audit/catalogue/finding.h"

namespace extscrub {

// Numbers first..last, both included.
template <class N>
struct Range {
  N first, last;
};

struct FindingRun {
  Finding first;       // what the others are like; its place is the first one
  std::vector<size_t> members;  // places of the findings in the list
  // Where the run reaches; no place of a member is left out but the path of inodes in a row.
  std::optional<Range<GroupNo>> groups;
  std::optional<Range<InodeNo>> inodes;
  std::optional<Range<BlockNo>> blocks;
  std::optional<Range<uint64_t>> logical;
  bool same_values = true;  // all members have `expected` and `found` of `first`
};

// `findings` sorted by sort_findings. Two findings are in one run when problem, field and repair are the same, the one
// follows the other in exactly one kind of place, and their values are the same or both numbers: words ("free", "in
// use") tell the kind of the damage, numbers only its size. The runs come in the order of their first members.
[[nodiscard]] std::vector<FindingRun> fold_findings(const std::vector<Finding>& findings);

// Every finding as a run of its own, for --verbose.
[[nodiscard]] std::vector<FindingRun> unfolded_findings(const std::vector<Finding>& findings);

}  // namespace extscrub
