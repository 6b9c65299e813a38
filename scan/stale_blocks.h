// Blocks of the image that are not what the history of the journal has as the newest copy of them. A write that was lost leaves
// such a block, and so does everybody who writes past the journal: what it means is for who knows the rest.
#pragma once

#include <optional>
#include <vector>

#include "scan/journal_history.h"

namespace extscrub {

struct StaleBlock {
  BlockNo block;
  LoggedCopy newest;
  std::optional<LoggedCopy> same;  // the last older copy that is what lies in place
  // No version of the block that was committed behind this one is missing in the log: an older version that is none of them
  // is older than this one, too. It is the newest one where nothing is known of any other.
  LoggedCopy oldest;
};

// All of them, by block. Left out are the superblock, the journal, blocks that the recovery staged, whose newest copy was
// revoked, or was committed before `since`, in seconds. `fs` behind its recovery. On the threads of the current task arena.
[[nodiscard]] std::vector<StaleBlock> find_stale_blocks(const Journal& journal, const JournalHistory& history, const FileSystem& fs,
                                                        uint64_t since);

}  // namespace extscrub
