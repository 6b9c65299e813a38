// The replay of fast commits: changes of single files and directory entries that follow the log. For one thread.
#pragma once

#include "scan/journal/journal.h"

namespace extscrub {

// Replays `journal.fast_commits` into `overlay`, through libext2fs. `fs`: the file system behind the replay of the log,
// read through the overlay, descriptors loaded; out of date afterwards. Tags that do not go with the file system are
// defects; nothing is staged of any tag when bitmaps or descriptors are damaged. Errors: the overlay.
[[nodiscard]] Result<void> replay_fast_commits(const FileSystem& fs, Journal& journal, Overlay& overlay);

}  // namespace extscrub
