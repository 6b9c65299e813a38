// The findings of an audit while it goes on: the first of them in the order of a report, up to a limit, and of the others how
// many there are. Damage over a large file system would fill all memory with findings that nobody reads.
// What is kept and what is counted does not depend on the order in which they come, so not on threads either. A list belongs
// to one thread at a time.
#pragma once

#include <limits>
#include <vector>

#include "audit/catalogue/finding.h"

namespace extscrub {

inline constexpr size_t kUnlimited = std::numeric_limits<size_t>::max();

class Findings {
 public:
  explicit Findings(size_t most = kUnlimited) : most_(most) { make_room(); }

  // A new one, to be filled before the next is asked for: that may move it or let it go.
  Finding& emplace_back() {
    if (list_.size() >= room_) trim();
    return list_.emplace_back();
  }
  [[nodiscard]] Finding& back() { return list_.back(); }

  // Those that are kept, in no order.
  [[nodiscard]] auto begin() const { return list_.begin(); }
  [[nodiscard]] auto end() const { return list_.end(); }
  [[nodiscard]] size_t size() const { return list_.size(); }
  [[nodiscard]] bool empty() const { return list_.empty(); }

  // Lets those that are kept and for which `gone` is true go; those past the limit stay counted.
  template <class Gone>
  void erase_if(Gone&& gone) {
    std::erase_if(list_, gone);
  }

  // All of another list, its counts too.
  void take(Findings&& other);

  // From now on at most `most` are kept. What is past the limit already stays so.
  void set_limit(size_t most) {
    most_ = most;
    trim();
  }

  // The end: what is kept, sorted as by sort_findings(), and what is past the limit, by code. No rule may make a finding
  // twice: it would count once among the first, and twice among the second.
  [[nodiscard]] std::vector<Finding> take_kept();
  [[nodiscard]] std::vector<FindingCount> take_counts();

 private:
  void trim();
  void make_room();
  void count(const FindingCount& more);

  size_t most_, room_ = 0;
  std::vector<Finding> list_;
  std::vector<FindingCount> past_;  // one each of a problem and what became of its repair
};

// What later rules, the coverage and the exit status go by is kept whatever the limit: blocks that cannot be read, an end that
// is missing, structures of a group that are in the wrong place, inodes of a group that are gone. There are no more of them
// than groups and failed reads.
[[nodiscard]] bool is_always_kept(Problem problem);

// Leaves the first `most` of them in `findings`, sorted, and returns how many others there were.
[[nodiscard]] std::vector<FindingCount> limit_findings(std::vector<Finding>& findings, size_t most);

}  // namespace extscrub
