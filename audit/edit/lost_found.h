// lost+found, where files without a name get one. For one thread.
#pragma once

#include <span>
#include <string>

#include "audit/edit/round.h"

namespace extscrub {

struct Attached {
  InodeNo lost_found;
  std::vector<std::string> names;  // of the first inodes; the others found no place
};

// Gives each inode the name #INODE in lost+found. It is made when there is none, and grows when it is full. Without space,
// or without a root to make it in, there are fewer names, or none.
[[nodiscard]] Result<Attached> attach(RepairRound& round, std::span<const InodeNo> inodes);

}  // namespace extscrub
