// Single inodes by their number, in the tables on disk. Stateless: any thread; edit_inode() as Overlay::edit().
#pragma once

#include "scan/filesystem/file_system.h"

namespace extscrub {

struct InodePlace {
  BlockNo block;        // of the inode table
  uint32_t offset = 0;  // bytes in the block
};

// Where the inode lies, if its group's table is where the descriptor says. `ino` must be valid.
[[nodiscard]] InodePlace place_of(const FileSystem& fs, InodeNo ino);

// Reads one inode into `raw` (inode_size bytes). Errors: no such inode, its table's location is invalid, or the device.
[[nodiscard]] Result<void> read_inode(const FileSystem& fs, InodeNo ino, MutableBytes raw);

// The inode's bytes in the overlay, to be changed in place and sealed by the caller. Errors: those of read_inode().
[[nodiscard]] Result<MutableBytes> edit_inode(const FileSystem& fs, Overlay& overlay, InodeNo ino);

}  // namespace extscrub
