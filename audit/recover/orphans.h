// Orphans: inodes that were deleted, or were being cut, when the file system was last in use. They hang on a list through
// i_dtime that begins in s_last_orphan, or stand in the orphan file. The next mount releases them: those without links
// are deleted, the others cut to i_size. Here that is done in an overlay, changing no more than the mount would.
// For one thread.
#pragma once

#include <vector>

#include "scan/filesystem/file_system.h"
#include "scan/map/block_map.h"

namespace extscrub {

enum class OrphanDefectKind : uint8_t {
  out_of_range,     // not an inode for files
  not_in_use,       // free in the inode bitmap, or never used
  loop,             // listed twice
  unsealed,         // its checksum does not fit: it may be no inode at all
  no_file,          // i_mode names no kind of file, so that nothing says what the inode holds
  dangerous,        // has no links, yet a map that cannot be followed: nothing was freed
  file_inode,       // s_orphan_file_inum is not a regular file with whole blocks
  file_block,       // a block of the orphan file without its magic number
  file_checksum,    // a block of the orphan file
  no_journal,       // an orphan file without has_journal, which writes it
  metadata,         // a bitmap or a descriptor that the release needs is itself damaged
};

struct OrphanDefect {
  OrphanDefectKind kind{};
  InodeNo inode;
  BlockNo block;   // of the orphan file
  uint64_t expected = 0, found = 0;
};

struct OrphanFacts {
  uint64_t listed = 0;     // entries in the list and the orphan file
  uint64_t deleted = 0, truncated = 0;
  bool processed = false;  // false: nothing was listed, or the list cannot be trusted
  std::vector<OrphanDefect> defects;
};

// Releases all orphans in `overlay`. `fs`: read through the overlay, descriptors loaded; what it says of the groups is
// out of date afterwards. Errors: the overlay cannot be staged.
[[nodiscard]] Result<OrphanFacts> release_orphans(const FileSystem& fs, Overlay& overlay);

// What is wrong with the orphan file itself, whatever it lists.
[[nodiscard]] std::vector<OrphanDefect> check_orphan_file(const FileSystem& fs);

}  // namespace extscrub
