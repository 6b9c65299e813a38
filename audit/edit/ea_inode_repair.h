// Repairs of the inodes that hold large attribute values (ea_inode): a part of the repair of attributes.
// For one thread.
#pragma once

#include <map>
#include <set>

#include "audit/edit/round.h"

namespace extscrub {

// Values that cannot be used: the attributes that name them go.
struct CondemnedValues {
  std::set<InodeNo> values;
  std::map<InodeNo, Finding> causes;
  size_t answered = 0;  // findings
};

// Mends counts, flags, links and sizes where the value's hash says what they were; releases values that nothing names.
[[nodiscard]] Result<CondemnedValues> repair_value_inodes(RepairRound& round);

// Sets EA_INODE_FL again in the inode that the entry names, when its hash and size say that it is the entry's value.
[[nodiscard]] Result<void> restore_value_flag(RepairRound& round, const EaEntry& entry);

}  // namespace extscrub
