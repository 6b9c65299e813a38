// The findings of a round of repairs, by what they are asked for: by problem, pass, inode, group, and by what they hide. Built
// once a round; the findings must stay where they are. Each list has them in the order of the findings. For one thread.
#pragma once

#include <algorithm>
#include <map>
#include <ranges>
#include <span>
#include <vector>

#include "audit/catalogue/finding.h"

namespace extscrub {

class FindingIndex {
  static auto seen(std::span<Finding* const> list) {
    return list | std::views::transform([](Finding* f) -> Finding& { return *f; });
  }

 public:
  using InodeFindings = std::map<InodeNo, std::vector<Finding*>>;

  explicit FindingIndex(std::vector<Finding>& findings);

  // All of them.
  [[nodiscard]] auto begin() const { return findings_.begin(); }
  [[nodiscard]] auto end() const { return findings_.end(); }

  [[nodiscard]] auto of(Problem problem) const { return seen(by_problem_[static_cast<size_t>(problem)]); }
  // Those that the pass mends.
  [[nodiscard]] auto of(Pass pass) const { return seen(by_pass_[static_cast<size_t>(pass)]); }
  [[nodiscard]] auto that_hide(Hidden what) const { return seen(by_hidden_[static_cast<size_t>(what)]); }
  [[nodiscard]] auto about(InodeNo inode) const {
    return seen(std::span<Finding* const>(std::ranges::equal_range(by_inode_, inode, {}, inode_of)));
  }
  [[nodiscard]] auto in(GroupNo group) const {
    return seen(std::span<Finding* const>(std::ranges::equal_range(by_group_, group, {}, group_of)));
  }

  [[nodiscard]] bool any(Problem problem) const { return !of(problem).empty(); }
  [[nodiscard]] bool any(Pass pass) const { return !of(pass).empty(); }
  [[nodiscard]] bool any_hides(Hidden what) const { return !that_hide(what).empty(); }

  // Those that have an inode, by that: what the pass mends, or what speaks of one of these.
  [[nodiscard]] InodeFindings by_inode(Pass pass) const;
  [[nodiscard]] InodeFindings by_inode(EnumSet<Scope> scopes) const;

 private:
  static InodeNo inode_of(const Finding* f) { return *f->inode; }
  static GroupNo group_of(const Finding* f) { return *f->group; }

  std::span<Finding> findings_;
  std::vector<std::vector<Finding*>> by_problem_, by_pass_, by_hidden_;
  std::vector<Finding*> by_inode_, by_group_;  // sorted by that
};

}  // namespace extscrub
