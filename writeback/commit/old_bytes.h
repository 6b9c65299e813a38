// What a commit is going to write over, as its undo log has it. For one thread.
#pragma once

#include "writeback/commit/prepared.h"

namespace extscrub {

// Every write with the sectors it is widened to, and the held blocks, in whole blocks: merged, and cut into parts that
// a buffer takes.
[[nodiscard]] std::vector<Extent> extents_to_save(Prepared& prepared);

}  // namespace extscrub
