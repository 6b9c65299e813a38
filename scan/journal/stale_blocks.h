// Blocks of the image that are not what the history of the journal has as the newest copy of them. A write that was lost leaves
// such a block, and so does everybody who writes past the journal: what it means is for who knows the rest.
#pragma once

#include <atomic>
#include <optional>
#include <vector>

#include "scan/journal/journal_history.h"

namespace extscrub {

struct StaleBlock {
  BlockNo block;
  LoggedCopy newest;
  std::optional<LoggedCopy> same;  // the last older copy that is what lies in place
  // No version of the block that was committed behind this one is missing in the log: an older version that is none of them
  // is older than this one, too. It is the newest one where nothing is known of any other.
  LoggedCopy oldest;
};

// Holds what lies in place against the newest copies. Most of them are of inode tables, which the scan reads anyway: they are
// compared while they are hot.
class HistoryCheck {
 public:
  // Left out are the superblock, the journal, blocks that the recovery staged, and copies that were revoked or committed up to
  // `since`, in seconds. `fs` behind its recovery. All have to outlive the check.
  HistoryCheck(const Journal& journal, const JournalHistory& history, const FileSystem& fs, uint64_t since);

  // Blocks as they are in place, from `first` on. From any number of threads.
  void look(BlockNo first, Bytes blocks);

  enum class Depth : uint8_t {
    tables,  // blocks of inode tables, and others of which there is an older copy
    all,
  };
  // All that differ, by block; those that were not looked at are read. On the threads of the current task arena.
  [[nodiscard]] std::vector<StaleBlock> finish(Depth depth);

 private:
  enum class State : uint8_t { unseen, equal, differs };

  void compare(size_t i, Bytes bytes);
  void read_rest(Depth depth);
  [[nodiscard]] bool has_older(BlockNo block) const { return history_.of(block).size() > 1; }
  [[nodiscard]] std::optional<LoggedCopy> find_same(BlockNo block) const;
  [[nodiscard]] LoggedCopy find_oldest(BlockNo block) const;

  const Journal& journal_;
  const JournalHistory& history_;
  const FileSystem& fs_;
  std::vector<LoggedCopy> newest_;         // by block
  std::vector<std::atomic<State>> state_;  // of each of them
};

}  // namespace extscrub
