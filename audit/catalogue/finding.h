// A finding: one problem at one place. Plain values; a vector of them belongs to one thread at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "audit/catalogue/evidence.h"
#include "audit/catalogue/problem.h"
#include "scan/format/types.h"

namespace extscrub {

enum class RepairState : uint8_t {
  none,    // no repair was asked for, or there is none
  staged,  // changed in the overlay, proven by the second audit, to be written
  made,    // written, flushed and read back
  left,    // asked for, but not made (its class is not allowed, or its proof failed)
};

// What would mend it, as an audit has tried in memory.
enum class Remedy : uint8_t {
  by_class,  // not tried: what is usual for the problem
  scrub,     // a scrub with safe repairs does
  all,       // it does not; all repairs may
};

// Which entry a finding is about: with its directory and logical block, enough for a repair to find it again.
struct EntryPlace {
  InodeNo target;       // as the entry says; 0 when the finding is about the block
  uint32_t offset = 0;  // in the block
  std::string name;     // where the finding is about one

  auto operator<=>(const EntryPlace&) const = default;
};

struct FindingPlace {
  std::optional<GroupNo> group;
  std::optional<InodeNo> inode;
  std::optional<BlockNo> block;     // physical; the first of block_count
  std::optional<uint64_t> logical;  // logical block in the inode's file
  uint64_t block_count = 1;         // physical blocks from `block` on
  std::string field;                // the on-disk field's name (s_free_blocks_count), where one is meant; see field.h
  std::optional<EntryPlace> entry;  // of the inode's directory

  auto operator<=>(const FindingPlace&) const = default;
};

struct Finding : FindingPlace {
  Problem problem{};
  FindingEvidence evidence;
  std::string path;  // of the inode, where one is known
  RepairState repair = RepairState::none;
  Remedy remedy = Remedy::by_class;
};

// How many findings there are that nothing more is known of.
struct FindingCount {
  Problem problem{};
  RepairState repair = RepairState::none;
  uint64_t count = 0;
};

// The order of a report: by (group, inode, block, code), then by the rest, so that the order never depends on threads.
// Places that a finding does not have come first.
[[nodiscard]] bool comes_before(const Finding& a, const Finding& b);
// The same, but the rest does not count.
[[nodiscard]] bool place_comes_before(const Finding& a, const Finding& b);
// Findings equal in every field are folded into one.
void sort_findings(std::vector<Finding>& findings);

[[nodiscard]] std::string_view name(RepairState state);

}  // namespace extscrub
