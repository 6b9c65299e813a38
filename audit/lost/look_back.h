// What the log of an image still knows: its transactions, and every version that is left of a block, or of an inode with the
// blocks that belong to it. The image is looked at as the next mount will find it.
// look_back() works on as many threads as asked for inside; each call belongs to one caller.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "audit/lost/version_changes.h"
#include "audit/run/audit.h"
#include "scan/journal/journal_history.h"

namespace extscrub {

// One version of a block: as it was logged, or as it is in place.
struct BlockVersion {
  bool in_place = false;       // then the next five say nothing
  uint32_t sequence = 0;       // of the transaction
  uint64_t seconds = 0;        // when that was committed, since 1970
  uint32_t nanoseconds = 0;
  uint32_t log_block = 0;
  bool revoked = false;
  std::string error = {};                   // why it cannot be read; empty when it could be
  std::vector<VersionChange> changes = {};  // since the version before it that could be read
};

struct BlockPast {
  BlockNo block;
  std::string what;                    // what it is in place: "inode table of group 0, inodes 17-32"
  std::vector<BlockVersion> versions;  // oldest first; none when the log has none
};

struct Past {
  std::string none;  // why there is no history at all; empty when there could be one
  std::vector<LoggedTransaction> transactions;  // oldest first
  uint64_t unbroken = 0;  // from this transaction on none is missing
  bool bounded = false;   // older ones were left out, for memory
  uint64_t copies = 0, blocks = 0;  // logged blocks, and how many different ones
  InodeNo inode;                    // that was asked for, by its number or its path; 0: none
  std::vector<BlockPast> asked;     // blocks that were asked for
};

struct PastRequest {
  std::optional<BlockNo> block = {};
  std::optional<InodeNo> inode = {};
  std::string path = {};  // from the root; empty: none
};

// Errors: those of audit(); there is no such block, inode or path.
[[nodiscard]] Result<Past> look_back(const Image& image, const PastRequest& request, const AuditOptions& options);

}  // namespace extscrub
