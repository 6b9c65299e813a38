// Which finding it is, whatever else is said about it: to hold the findings of two audits against each other. The same for the
// proof of a repair, what an audit promises, what a scrub has changed, and what is kept between runs.
#pragma once

#include <optional>
#include <string_view>

#include "audit/catalogue/finding.h"

namespace extscrub {

// Of the finding, which must outlive it. How many blocks it is about does not count, nor where in its block an entry lies: a
// repair beside it may move both.
struct FindingId {
  Problem problem{};
  std::optional<GroupNo> group;
  std::optional<InodeNo> inode;
  std::optional<BlockNo> block;
  std::optional<uint64_t> logical;
  std::string_view field;

  auto operator<=>(const FindingId&) const = default;
};

[[nodiscard]] inline FindingId id_of(const Finding& f) { return {f.problem, f.group, f.inode, f.block, f.logical, f.field}; }

}  // namespace extscrub
