// Reads the blocks of directories in the order of the disk: runs that lie close together become one read, asked for ahead
// of its turn, and each block goes to whichever thread read it.
#pragma once

#include <functional>

#include "scan/image/progress.h"
#include "scan/inodes/directory_table.h"

namespace extscrub {

// One block of a run. For an inline directory the block of the inode table that its inode lies in.
struct DirectoryBlock {
  uint32_t directory = 0;  // index in the table
  BlockNo block;
  uint32_t logical = 0;
  bool in_inode = false;
  Bytes bytes;  // empty when the block cannot be read
};

// Calls fn for the blocks of those directories that `wanted(index)` chooses, from many threads at once.
// Returns the bytes read. Errors: cancelled.
[[nodiscard]] Result<uint64_t> read_directories(const FileSystem& fs, const DirectoryTable& table, Progress* progress,
                                                const std::function<bool(uint32_t)>& wanted,
                                                const std::function<void(const DirectoryBlock&)>& fn);

// The inode of an inline directory, in the block that was read for it.
[[nodiscard]] Inode inode_in_block(const FileSystem& fs, InodeNo ino, Bytes block);

}  // namespace extscrub
