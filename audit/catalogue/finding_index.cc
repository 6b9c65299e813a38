#include "audit/catalogue/finding_index.h"

namespace extscrub {

namespace {

constexpr size_t kHidden = static_cast<size_t>(Hidden::gone) + 1;

void add(FindingIndex::InodeFindings& list, Finding* f) {
  if (f->inode) list[*f->inode].push_back(f);
}

}  // namespace

FindingIndex::FindingIndex(std::vector<Finding>& findings)
    : findings_(findings), by_problem_(problem_catalogue().size()), by_pass_(all_passes().size()), by_hidden_(kHidden) {
  for (Finding& f : findings) {
    const ProblemInfo& problem = info(f.problem);
    by_problem_[static_cast<size_t>(f.problem)].push_back(&f);
    for (size_t i = 0; i < by_pass_.size(); ++i)
      if (problem.mend.passes.has(static_cast<Pass>(i))) by_pass_[i].push_back(&f);
    for (size_t i = 0; i < kHidden; ++i)
      if (problem.hides.has(static_cast<Hidden>(i))) by_hidden_[i].push_back(&f);
    if (f.inode) by_inode_.push_back(&f);
    if (f.group) by_group_.push_back(&f);
  }
  std::ranges::stable_sort(by_inode_, {}, inode_of);
  std::ranges::stable_sort(by_group_, {}, group_of);
}

FindingIndex::InodeFindings FindingIndex::by_inode(Pass pass) const {
  InodeFindings list;
  for (Finding* f : by_pass_[static_cast<size_t>(pass)]) add(list, f);
  return list;
}

FindingIndex::InodeFindings FindingIndex::by_inode(EnumSet<Scope> scopes) const {
  InodeFindings list;
  for (Finding* f : by_inode_)
    if (scopes.has(info(f->problem).scope)) add(list, f);
  return list;
}

}  // namespace extscrub
