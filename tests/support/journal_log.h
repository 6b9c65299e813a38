// Writes logs by hand into the journal of a test image: descriptor, revoke and commit blocks, in any of the formats, and
// wrong where a test wants them wrong. Shares no code with the replay but the names of the offsets. Belongs to one thread.
#pragma once

#include <utility>
#include <vector>

#include "scan/format/jbd2_format.h"
#include "tests/support/test_image.h"

namespace extscrub::test {

struct LogFormat {
  uint32_t compat = 0, incompat = 0;
  uint32_t start = 1;      // where the log begins
  uint32_t sequence = 10;  // its first transaction
  int version = 2;
  uint32_t end = 0;        // of the ring; 0: where the log ends
};

class JournalLog {
 public:
  // Writes the journal's superblock, and says in the file system's that recovery is needed.
  JournalLog(const TestImage& image, const LogFormat& format);

  // One descriptor block and the blocks it logs. A block that begins with the journal's magic number is escaped.
  void descriptor(const std::vector<std::pair<uint64_t, std::vector<std::byte>>>& blocks);
  void revoke(const std::vector<uint64_t>& blocks);
  // Ends the transaction.
  void commit(uint64_t seconds = 1'000'000);

  // Where the next block of the log goes; for spoiling what was written.
  [[nodiscard]] uint32_t next() const { return next_; }
  [[nodiscard]] uint64_t offset_of(uint32_t log_block) const;  // bytes, in the image
  [[nodiscard]] uint32_t length() const { return length_; }    // blocks
  void seal_super() const;

  [[nodiscard]] std::vector<std::byte> block_of(char fill) const;

 private:
  [[nodiscard]] bool v2_or_v3() const;
  [[nodiscard]] std::vector<std::byte> header(uint32_t type) const;
  void put(const std::vector<std::byte>& block);
  void seal_tail(std::vector<std::byte>& block) const;
  [[nodiscard]] uint32_t tag_checksum(const std::vector<std::byte>& block) const;

  const TestImage& image_;
  LogFormat format_;
  std::vector<uint64_t> places_;
  uint32_t length_ = 0, next_ = 0, sequence_ = 0, seed_ = 0, sum_ = ~0u;
};

}  // namespace extscrub::test
