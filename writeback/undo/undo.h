// Carries out an undo log: puts the old bytes back on an image through a commit of its own, so that it is armed first,
// every write is checked and read back, and the old superblock comes last of all. Interrupted, the image says that it is
// not clean, and the same undo ends at the old bytes when it is run again.
// One call belongs to one caller.
#pragma once

#include "writeback/commit/commit.h"
#include "writeback/undo_log/undo_log.h"

namespace extscrub {

struct UndoRequest {
  std::filesystem::path log, image;
  // Go on although the log is not finished or the image's superblock is not one that its commit can have left. The image
  // is then not what it was before the commit, so its valid bit stays cleared.
  bool force = false;
  QueueKind queue = QueueKind::automatic;
  Progress* progress = nullptr;  // may be null
  WaitObserver* waits = nullptr;          // may be null
  std::filesystem::path opened = {};      // as in a CommitRequest
  std::optional<FileIdentity> file = {};  // what is locked; another file is refused
  std::optional<MmpClaim> mmp = {};       // as in a CommitRequest
};

// `nothing_to_do`: the image has the old bytes already, flushed. `refused`: the log is not sound or not this image's, the
// image is too short or cannot be opened for writing; not one byte written. `lock` as for commit().
[[nodiscard]] CommitReport undo(const UndoRequest& request, const ImageLock& lock);

// The superblock is one that a commit with this log can have left, or an undo that was interrupted: the old or the new
// one, or the sectors of both, but for what the commit itself writes there (state, errors, checksum).
[[nodiscard]] bool is_superblock_of(const SuperblockCopy& now, const SuperblockCopy& before, const SuperblockCopy& expected);

// The undo logs where those of the image `path` go by default, of commits to the file system at byte `offset` of the file
// `opened` that did not come to their end: the newest first, as they have to be undone.
[[nodiscard]] std::vector<std::filesystem::path> find_unfinished_undo_logs(const std::filesystem::path& path,
                                                                           const std::filesystem::path& opened, uint64_t offset);

// undo() of a log that is open already, on a device and a queue that are there already; tests put in ones that fail.
[[nodiscard]] CommitReport undo_on(const UndoRequest& request, const UndoLog& log, WriteDevice& device, WriteQueue& queue);

}  // namespace extscrub
