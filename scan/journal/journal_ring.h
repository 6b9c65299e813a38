// The transactions in the ring of a log, found by their headers alone: those that are whole, of whatever life of the log.
// For one thread.
#pragma once

#include <functional>
#include <vector>

#include "scan/image/read_buffer.h"
#include "scan/journal/journal_blocks.h"
#include "scan/journal/journal_history.h"

namespace extscrub {

// The log's blocks, some at a time.
class LogWindow {
 public:
  explicit LogWindow(const Journal& journal) : log_(journal.log), end_(journal.super.end) {}

  // The block; empty when it cannot be read. `ahead`: so many are read at once when it is not there yet.
  [[nodiscard]] Bytes block(uint32_t at, uint32_t ahead);

 private:
  bool fill(uint32_t at, uint32_t count);

  const JournalLog& log_;
  uint32_t end_;
  ReadBuffer bytes_;
  uint32_t first_ = 0, count_ = 0;  // blocks in bytes_
  uint32_t single_until_ = 0;       // one by one up to here: not all can be read
};

// All transactions that are whole, in no order. They may be of several lives of the log.
[[nodiscard]] std::vector<LoggedTransaction> find_transactions(const Journal& journal, const JournalFacts* recovered);

// Goes through the blocks of a transaction that is whole: its descriptors, with the log's block of each logged block, and
// its revoke blocks.
struct TransactionVisitor {
  std::function<void(const jbd2::Tag&, uint32_t log_block)> copy;
  std::function<void(uint32_t log_block)> revoke;
};
void visit_transaction(const Journal& journal, const LoggedTransaction& transaction, LogWindow& window,
                       const TransactionVisitor& visitor);

}  // namespace extscrub
