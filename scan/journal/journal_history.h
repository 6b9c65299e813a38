// What the log still has behind a recovery. It is a ring: a checkpoint erases nothing, so that every transaction is there
// until it is written over, and with it the blocks of metadata as they were when it was committed. Only transactions that
// are whole count; what cannot be read is not history. Everything read is untrusted, and no loop is longer than the log.
// A history is a plain value: any thread. read_history(), read_copy() and equals_copy() only read.
#pragma once

#include <span>
#include <vector>

#include "scan/journal/journal.h"

namespace extscrub {

struct LoggedTransaction {
  uint32_t sequence = 0;
  uint64_t seconds = 0;  // when it was committed
  uint32_t nanoseconds = 0;
  uint32_t log_begin = 0, log_end = 0;  // blocks of the log; the end, behind its commit block, may have gone round to the begin
  uint32_t copies = 0, revokes = 0;  // logged blocks, and revoke records
};

struct LoggedCopy {
  BlockNo block;
  uint32_t log_block = 0;
  uint32_t transaction = 0;  // index into the transactions
  uint32_t checksum = 0;  // of its tag: 16 bits with checksums of version 2, 0 without any
  bool escaped = false;  // it begins with the journal's magic number, and was logged with zeros there
  bool revoked = false;  // by the same or a newer transaction
};

struct JournalHistory {
  std::vector<LoggedTransaction> transactions;  // oldest first
  std::vector<LoggedCopy> copies;  // by block, then oldest first
  // From this transaction on none is missing, as their numbers and places tell, up to the one that the journal will write
  // next: the newest copy here of a block is the newest that there was only if its transaction is one of these, or if there
  // is no newer one at all. All of them when it is 0; none when it is transactions.size().
  size_t unbroken = 0;
  bool bounded = false;  // older ones were left out, for memory

  // The copies of a block, oldest first.
  [[nodiscard]] std::span<const LoggedCopy> of(BlockNo block) const;
  // Where the history begins: when the oldest transaction was committed. 0 where there is none.
  [[nodiscard]] uint64_t begin_seconds() const { return transactions.empty() ? 0 : transactions.front().seconds; }
};

// `journal`: opened over the file system `fs` as it is behind its recovery, where the log is empty and s_sequence is the
// next. `recovered`: what the recovery met, for a journal on another device, which it leaves as it is; may be null. Transactions
// that have more than `most_copies` with the newer ones are left out; a copy takes 32 bytes.
inline constexpr size_t kMostCopies = 1 << 20;
[[nodiscard]] JournalHistory read_history(const Journal& journal, const FileSystem& fs, const JournalFacts* recovered = nullptr,
                                          size_t most_copies = kMostCopies);

// Fills `out`, a block, with the copy as it belongs in place. Errors: it cannot be read, has been written over, or the checksum
// of its tag does not fit.
[[nodiscard]] Result<void> read_copy(const Journal& journal, const JournalHistory& history, const LoggedCopy& copy,
                                     MutableBytes out);

// Whether `bytes`, a block, is the copy. With checksums of version 3 the tag's decides without reading the log, but for blocks
// that it cannot tell from each other: the superblock and extent blocks.
[[nodiscard]] bool equals_copy(const Journal& journal, const JournalHistory& history, const LoggedCopy& copy, Bytes bytes);

}  // namespace extscrub
