// What is on the image before a commit, against what was staged: whatever somebody else has changed since is not
// written over. For one thread.
#pragma once

#include "writeback/commit/prepared.h"

namespace extscrub {

// Reads what is staged, and the held blocks. With an undo log it is enough to have the bytes around the writes that are
// not whole sectors: save_old_bytes() reads and compares everything.
[[nodiscard]] Checked read_before_images(Prepared& prepared, WriteDevice& device);

// The blocks that lie whole in what was read are as staged. What lies in the log's free part nobody has read before.
[[nodiscard]] Checked compare_before(Prepared& prepared, Extent read, Bytes bytes);

// The block of multiple-mount protection is as it was seen.
[[nodiscard]] bool mmp_is_as_seen(Prepared& prepared, WriteDevice& device);

}  // namespace extscrub
