// All entries of one directory as they lie there, those that are not in use among them, and how one of them is given
// another inode without anything else of the directory changing. For one thread.
#pragma once

#include <functional>

#include "audit/edit/round.h"
#include "scan/format/dir_block.h"

namespace extscrub {

// Where an entry lies. As findings have it: of an inline directory, logical block 0 begins at i_block, and 1 is the
// attribute's value.
struct EntryAt {
  BlockNo block;        // of an inline directory: 0
  uint64_t logical = 0;
  uint32_t offset = 0;
};

// Calls fn for the entries that can be reached, without `.` and `..`. False when some could not be.
[[nodiscard]] bool for_each_entry_of(const RepairRound& round, const Directory& directory,
                                     const std::function<void(const EntryAt&, const DirEntry&)>& fn);

// The entry names `target` then, and the block (or the inode) is sealed. False, and nothing has changed: what is there is
// doubtful by its checksum and must not be sealed. Without lossy repairs, that is, and unless the change makes the checksum
// right.
[[nodiscard]] Result<bool> set_target(const RepairRound& round, const Directory& directory, const EntryAt& at, InodeNo target);

}  // namespace extscrub
