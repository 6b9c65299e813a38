// The entries of a quota file (vfsv1), found by id and changed in place in an overlay.
// For one thread.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "scan/format/quota_format.h"
#include "scan/map/block_map.h"
#include "scan/quota/quota_usage.h"

namespace extscrub {

class QuotaRecords {
 public:
  // A file that cannot be read has no entries.
  QuotaRecords(const FileSystem& fs, Overlay& overlay, InodeNo ino);

  // It has the header of such a file.
  [[nodiscard]] bool is(QuotaType type);

  // Changes the entry in place; false when there is none. Errors: the overlay.
  [[nodiscard]] Result<bool> edit(uint32_t id, const std::function<void(QuotaEntryR1&)>& change);

 private:
  struct Place {
    BlockNo block;
    size_t offset = 0;  // bytes, in the block
  };

  [[nodiscard]] std::optional<Place> place(uint32_t quota_block) const;
  [[nodiscard]] bool read(const Place& at) { return overlay_.read(at.block, block_).has_value(); }
  [[nodiscard]] Bytes bytes(const Place& at) const { return Bytes(block_).subspan(at.offset, kQuotaBlock); }

  Overlay& overlay_;
  std::vector<std::byte> block_;
  std::vector<Run> runs_;
};

}  // namespace extscrub
