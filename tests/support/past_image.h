// Images with a past: what debugfs changes goes through the journal, as it does when the kernel writes, and every transaction is
// still in the log when all is in place. Then writes can be lost. Belongs to one thread.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "tests/support/journal_log.h"
#include "tests/support/test_image.h"

namespace extscrub::test {

inline const LogFormat kLogWithSums = {.incompat = jbd2::kIncompatRevoke | jbd2::kIncompatCsumV3 | jbd2::kIncompat64Bit};

class PastImage {
 public:
  explicit PastImage(TestImage image, const LogFormat& format = kLogWithSums);

  // Requests of debugfs, at a time that is later with every call and takes the place of "NOW" in them. Every block that they
  // change, but for superblocks, is logged, in one transaction.
  void write(const std::vector<std::string>& requests);
  // As somebody who does not know of the journal.
  void write_offline(const std::vector<std::string>& requests);
  // One more transaction, of these blocks as they lie in place, or of none.
  void log(const std::vector<uint64_t>& blocks, const std::vector<uint64_t>& revoked = {});
  // Transactions whose place in the log nobody knows.
  void forget(uint32_t transactions) { sequence_ += transactions; }
  // The last transaction waits to be replayed.
  void reopen() const;

  // Puts back what lay there before the last write().
  void lose(uint64_t block) const;

  [[nodiscard]] const TestImage& image() const { return image_; }
  [[nodiscard]] uint64_t seconds() const { return seconds_; }                    // of the last transaction
  [[nodiscard]] uint32_t sequence() const { return sequence_ - 1; }              // its number
  [[nodiscard]] const std::set<uint64_t>& changed() const { return changed_; }   // blocks, by the last write()
  [[nodiscard]] std::vector<std::byte> block(uint64_t block) const { return block_of(image_, block); }
  [[nodiscard]] std::vector<std::byte> block_before(uint64_t block) const {
    return block_of(before_, block);
  }     // before the last write()
  [[nodiscard]] std::vector<std::byte> block_as_written(uint64_t block) const {
    return block_of(right_, block);
  }   // by the last write
  // Blocks that are not what the last write left, but for superblocks and the journal.
  [[nodiscard]] std::set<uint64_t> not_as_written() const;

 private:
  [[nodiscard]] static std::vector<std::byte> block_of(const TestImage& image, uint64_t block);
  void set_log_fields(const JournalLog& log, uint32_t sequence, uint32_t start) const;
  void run_requests(const std::vector<std::string>& requests);
  [[nodiscard]] std::set<uint64_t> difference(const TestImage& a, const TestImage& b) const;

  TestImage image_;
  LogFormat format_;
  uint64_t seconds_ = 0;
  uint32_t next_ = 1, sequence_ = 0, last_start_ = 0;
  TestImage before_, right_;
  std::set<uint64_t> journal_, changed_;
};

}  // namespace extscrub::test
