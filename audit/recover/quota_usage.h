// The usage in the hidden quota files (feature quota), changed in an overlay as blocks and inodes are freed.
// For one thread.
#pragma once

#include <map>
#include <utility>

#include "scan/filesystem/file_system.h"
#include "scan/format/inode.h"

namespace extscrub {

class QuotaRelease {
 public:
  struct Change {
    uint64_t bytes = 0;
    uint64_t inodes = 0;
  };

  explicit QuotaRelease(const Geometry& geometry) : geometry_(geometry) {}

  // What is no longer charged to the owners (user, group, project) of `inode`.
  void subtract(const Inode& inode, uint64_t bytes, uint64_t inodes);

  // Stages the changes. A quota file that has no entry for an owner, or is damaged, is left as it is. Errors: the overlay.
  [[nodiscard]] Result<void> stage(const FileSystem& fs, Overlay& overlay) const;

 private:
  const Geometry& geometry_;
  std::map<std::pair<int, uint32_t>, Change> changes_;  // by type (0 user, 1 group, 2 project) and id
};

}  // namespace extscrub
