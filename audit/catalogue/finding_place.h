// Which finding it is, whatever else is said about it: to hold the findings of two audits against each other.
#pragma once

#include <optional>
#include <string_view>
#include <tuple>

#include "audit/catalogue/finding.h"

namespace extscrub {

// Of the finding, which must outlive it.
using FindingPlace = std::tuple<Problem, std::optional<GroupNo>, std::optional<InodeNo>, std::optional<BlockNo>,
                                std::optional<uint64_t>, std::string_view>;

[[nodiscard]] inline FindingPlace place_of(const Finding& f) { return {f.problem, f.group, f.inode, f.block, f.logical, f.field}; }

}  // namespace extscrub
