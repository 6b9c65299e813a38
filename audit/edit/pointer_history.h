// What the journal still has of the pointer by which an inode claims a block: whether it was written like that, or only lies
// there like that. The log goes round: of a block that it has no version of, it says nothing. For one thread.
#pragma once

#include <optional>

#include "scan/inodes/owners.h"
#include "scan/journal/journal_history.h"

namespace extscrub {

class PointerHistory {
 public:
  // `fs` has to outlive it. The log is read when it is first asked.
  explicit PointerHistory(const FileSystem& fs) : fs_(fs) {}

  // True: the newest version of what holds the pointer (the inode, or a node of its map) names the block too. False: it does not,
  // and none was written since. Nothing where the log has no version, or may have lost a newer one.
  [[nodiscard]] std::optional<bool> was_written(const Owner& owner, const Inode& inode, BlockNo block);

 private:
  // What holds the pointer.
  struct Holder {
    BlockNo block;
    uint32_t inode_at = 0;  // bytes; of the inode in a block of a table
    bool node = false;
  };

  [[nodiscard]] std::optional<Holder> find_holder(const Owner& owner, const Inode& inode, uint64_t logical) const;
  [[nodiscard]] std::optional<Holder> find_extent_leaf(const Inode& inode, uint64_t logical, Holder holder) const;
  [[nodiscard]] std::optional<Holder> find_indirect_node(const Inode& inode, uint64_t logical, Holder holder) const;
  [[nodiscard]] std::vector<std::byte> newest_version(BlockNo block);
  [[nodiscard]] std::optional<bool> names(const Owner& owner, const Inode& inode, const Holder& holder, Bytes version,
                                          uint64_t logical, BlockNo block) const;

  const FileSystem& fs_;
  std::optional<Journal> journal_;
  JournalHistory history_;
};

}  // namespace extscrub
