// The blocks of a log that are not logged blocks: descriptors, revoke records and commits, read as the journal's superblock
// says they are written. Functions of somebody else's bytes: any thread.
#pragma once

#include <optional>
#include <vector>

#include "scan/format/jbd2_format.h"
#include "scan/journal/journal.h"

namespace extscrub::jbd2 {

struct Header {
  uint32_t type = 0, sequence = 0;
};

// Nothing where the block does not begin with the magic number, as no logged block does.
[[nodiscard]] std::optional<Header> header_of(Bytes block);

// Transaction numbers wrap around.
[[nodiscard]] inline bool is_before(uint32_t a, uint32_t b) { return static_cast<int32_t>(a - b) < 0; }

struct Tag {
  uint64_t block = 0;     // where it belongs in the file system
  uint16_t flags = 0;
  uint32_t checksum = 0;  // 16 bits with checksums of version 2
};

// The tags of a descriptor, as many as it can hold; how many bytes of it they end behind.
size_t read_tags(Bytes descriptor, const JournalSuper& super, std::vector<Tag>& tags);

// Every block number in a revoke block goes to `take`. False when it says to have more than it can hold.
template <class F>
bool for_each_revoked(Bytes block, const JournalSuper& super, F take) {
  const size_t used = be32(block, kRevokeCount);
  if (used > block.size() - super.tail_bytes()) return false;
  const size_t width = super.has_incompat(kIncompat64Bit) ? 8 : 4;
  for (size_t i = kRevokeHeadSize; i + width <= used; i += width) take(width == 8 ? be64(block, i) : be32(block, i));
  return true;
}

// The checksum at the end of descriptor and revoke blocks, over the block with the field taken as zero.
[[nodiscard]] bool tail_matches(Bytes block, const JournalSuper& super);

// `crc`: of version 1, over the descriptors and logged blocks of the transaction.
[[nodiscard]] bool commit_matches(Bytes block, const JournalSuper& super, uint32_t crc);

// What the tag of a block has, which is logged as `bytes` with checksums of version 2 or 3.
[[nodiscard]] uint32_t tag_checksum(Bytes bytes, const JournalSuper& super, uint32_t sequence);

}  // namespace extscrub::jbd2
