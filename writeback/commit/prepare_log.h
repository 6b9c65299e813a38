// The part of preparing a commit that makes the transaction for the journal. For one thread.
#pragma once

#include "writeback/commit/prepared.h"

namespace extscrub {

// Which way the commit goes, and its transaction where that is through the journal. Refused where it cannot, and has
// to.
[[nodiscard]] Checked prepare_log(Prepared& prepared, WriteDevice& device, CommitReport& report);

}  // namespace extscrub
