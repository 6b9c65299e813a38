// Backup superblocks at places that mke2fs does not use by itself: those of groups of another size.
#pragma once

#include <optional>
#include <vector>

#include "scan/format/geometry.h"
#include "scan/format/types.h"
#include "scan/image/image.h"

namespace extscrub {

struct FoundBackup {
  BlockNo block;            // where it lies, in blocks of its own size
  uint32_t block_size = 0;  // bytes
  bool sealed = false;      // its checksum proves it: not without metadata_csum
};

// Whether a backup superblock at byte `at` is one of the file system that begins at byte 0, and not of another that lies in a
// file of it: it is in a group that has one, and names no other group.
[[nodiscard]] bool belongs_at(const ext2_super_block& super, const Geometry& geometry, uint64_t at);

// Looks through the first 256 MiB for superblocks that can be gone by and that belong where they lie: once, when they are
// asked for the first time. For one thread.
class BackupSearch {
 public:
  // `block_size`: only those of this size. `allowed`: otherwise none is found, and nothing is read.
  BackupSearch(const Image& image, std::optional<uint32_t> block_size, bool allowed)
      : image_(image), block_size_(block_size), allowed_(allowed) {}

  // In the order of their places.
  const std::vector<FoundBackup>& found();

 private:
  const Image& image_;
  std::optional<uint32_t> block_size_;
  bool allowed_;
  std::optional<std::vector<FoundBackup>> found_;
};

}  // namespace extscrub
