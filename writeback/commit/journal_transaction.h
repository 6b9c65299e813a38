// One transaction of a jbd2 journal, made of blocks that are to reach their places together: descriptor blocks with their
// tags, the blocks themselves, a commit block, and a block of zeros behind it, so that nothing from an earlier life of
// the log can be taken for its continuation. On-disk format: the kernel's documentation of ext4, "Journal (jbd2)".
// It becomes valid with one sector, the first of the journal's superblock, which then says that the log begins with it:
// what the log held until then is dropped in the same moment, so the transaction has to contain what that would give.
// Pure: any thread.
#pragma once

#include <deque>
#include <span>
#include <string>
#include <vector>

#include "scan/journal/journal_space.h"

namespace extscrub {

// A block of the file system and what it is to hold.
struct BlockImage {
  BlockNo block;
  Bytes bytes;  // one block
};

struct JournalTransaction {
  std::vector<BlockImage> log;             // where in the image which bytes go, in the order of the log
  std::deque<std::vector<std::byte>> own;  // what of it is no block of the caller's
  std::vector<std::byte> superblock;       // of the journal, its whole block: the log begins with this transaction
};

// Blocks of the log that `blocks` blocks take up.
[[nodiscard]] uint64_t log_blocks_needed(const JournalSpace& space, uint64_t blocks);

// Why no transaction of so many blocks, `last` the highest of them, can go into the journal; empty when one can.
[[nodiscard]] std::string obstacle(const JournalSpace& space, uint64_t blocks, BlockNo last);

// `blocks`: of the file system, ascending; their bytes stay where they are as long as the transaction is used. `seconds`
// since 1970. There must be no obstacle().
[[nodiscard]] JournalTransaction make_transaction(const JournalSpace& space, std::span<const BlockImage> blocks,
                                                  uint64_t seconds);

}  // namespace extscrub
