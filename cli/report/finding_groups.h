// The findings of an image as a person can take them in: what follows from another finding is counted under it, and where that
// leaves more lines than are wanted, alike findings of a directory, or all that are alike, are put together.
// Pure functions: any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/report/fold.h"

namespace extscrub {

struct AlikeFindings {
  Finding like;  // problem and what becomes of its repair; nothing else of it is set
  size_t count = 0;
};

struct FindingGroup {
  std::vector<FindingRun> runs;            // alike; of more than one, no run is a line by itself
  std::vector<size_t> positions;           // of the findings that follow from no other, in the list; sorted
  Finding like;                            // problem and what becomes of its repair; nothing else of it is set
  std::vector<AlikeFindings> consequences; // what follows from them; most first
  // Each finding speaks for an inode that is garbage, and is no more than the others, so that it is among `consequences` too;
  // the runs name places only, and `like` is what is hardest to mend.
  bool garbage = false;
};

struct FindingGroups {
  std::vector<FindingGroup> groups;  // in the order of their first findings
  bool put_together = false;         // one of more than one run is among them
};

// `findings` sorted by sort_findings. A group is a line, and one more for its consequences: no more than `most_lines`, where
// findings can be put together that far. Every finding is in one group, once.
[[nodiscard]] FindingGroups group_findings(const std::vector<Finding>& findings, uint64_t cluster_blocks, size_t most_lines);

// The directory that the path's last name lies in; "/" for "/".
[[nodiscard]] std::string_view directory_part(std::string_view path);

}  // namespace extscrub
