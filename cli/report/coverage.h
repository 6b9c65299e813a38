// What share of each kind of structure an audit has verified, when the device did not give all of it; and which bytes of
// the image a finding is about. Pure functions: any thread.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "audit/run/audit.h"

namespace extscrub {

struct Coverage {
  std::string_view structure;      // "inode tables"
  std::string_view unit;           // what is counted: "blocks"
  std::optional<uint64_t> total;   // nothing: not known without what could not be read
  uint64_t unread = 0;
};

// The structures of which something could not be read, in the order in which they are audited; empty when all was.
[[nodiscard]] std::vector<Coverage> coverage_of(const std::vector<Finding>& findings, const ImageInfo& info,
                                                const AuditStatistics& statistics);

// The bytes of a finding that names blocks.
[[nodiscard]] std::optional<ByteRange> bytes_of(const Finding& finding, const ImageInfo& info);

}  // namespace extscrub
