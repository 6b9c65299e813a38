// Room in the journal for one more transaction: whether there is a journal to go by, what format it has, and which of its
// blocks hold nothing. Computed from the image as it is stored and as it will be, so that a transaction is put into the
// log only when everything a mount needs for finding that log stays where it is.
// For one thread; the result is a plain value.
#pragma once

#include <string>
#include <vector>

#include "scan/journal/journal.h"

namespace extscrub {

struct JournalSpace {
  std::string unfit;             // why no transaction can go into the journal, in words; empty when one can
  JournalSuper super;            // the format
  std::array<uint8_t, 16> uuid{};
  uint32_t first = 0;            // the block of the log where the transaction is to begin
  uint32_t sequence = 0;         // its number, which no transaction in the log has, nor a fast commit follows
  std::vector<BlockNo> free;     // blocks of the image, in the order of the log from `first` on: they hold nothing
  BlockNo superblock;            // the block of the image with the journal's superblock
  std::vector<std::byte> superblock_bytes;  // of that block, as stored
};

// What the log holds besides: it is worth keeping until the transaction is whole.
struct LogInUse {
  uint32_t head = 0;           // the block of the log behind the newest transaction of its history; 0: there is none
  std::vector<uint32_t> kept;  // blocks of the log that the repair has taken something from
};

// `staged`: the image as it will be. `replayed`: what replaying the journal that is stored now has met. The transaction goes
// where the log's oldest blocks are, and over none of those to be kept: who is interrupted finds them again.
[[nodiscard]] JournalSpace find_journal_space(const Image& image, const Overlay& staged, const JournalFacts& replayed,
                                              const LogInUse& in_use);

}  // namespace extscrub
