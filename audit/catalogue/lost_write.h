// A write of metadata that was lost, or went to another place. A plain value: any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "scan/format/types.h"

namespace extscrub {

// What the finding rests on.
enum class LostWriteEvidence : uint8_t {
  older_copy,  // what lies in place is what the log has as an older version of the block
  agreement,   // others speak for what belongs there: findings go away with it, and none comes
  misplaced,   // the checksums in the block say that it belongs elsewhere
  time,        // only its own fields say that what belongs there is younger: a warning
};

struct LostWrite {
  BlockNo block;
  LostWriteEvidence evidence{};
  bool logged = false;                   // the log has what should be there; by which transaction:
  uint32_t sequence = 0;
  uint64_t seconds = 0;                  // of its commit
  uint32_t log_block = 0;                // where in the log
  std::optional<uint32_t> old_sequence;  // of the older copy that lies in place
  uint64_t old_seconds = 0;
  std::optional<BlockNo> home;           // where what lies here belongs
  InodeNo belongs_to;                    // whose block it is that lies here, where that is known
  std::optional<BlockNo> source;         // where what belongs here lies, when it is not from the log
  std::optional<GroupNo> group;
  InodeNo owner;                         // of a directory's block, a map's or attributes'; else 0
  std::vector<InodeNo> inodes;           // of a block of an inode table: those that are older, or lost
  std::vector<std::byte> content;        // what belongs there; empty where nothing has it
};

}  // namespace extscrub
