// The blocks that cannot be read: found by reading all that something uses, or known from elsewhere.
// Both work on the threads of the caller's task arena where they use any, and belong to one caller.
#pragma once

#include <utility>
#include <vector>

#include "scan/inodes/inode_scan.h"

namespace extscrub {

struct DataScan {
  std::vector<BlockRange> unreadable;  // sorted; they do not touch
  uint64_t bytes_read = 0;
};

// Reads every block that something uses, but for the file system's own metadata, in disk order and from the disk: what
// the kernel has in memory would hide what the disk has lost. A piece that cannot be read is read block by block.
// Errors: cancelled.
[[nodiscard]] Result<DataScan> scan_data(const FileSystem& fs, const InodeScan& scan, Progress* progress);

// What another program has found unreadable, in units of `unit` bytes from the begin of the image's file or device.
struct UnreadableList {
  uint32_t unit = 0;                                  // bytes; 0: a block of the file system
  std::vector<std::pair<uint64_t, uint64_t>> ranges;  // first unit, and the first one behind the range; in any order
};

// The blocks of the file system that are there and that the list touches; sorted, and they do not touch.
[[nodiscard]] std::vector<BlockRange> blocks_of(const UnreadableList& list, const FileSystem& fs);

}  // namespace extscrub
