// What can be believed of a damaged block map: the runs that make sense, and the parts of the file that are lost.
// A tree node with a damaged header is looked through for entries that cannot be chance: in order, inside what the node
// may cover, with blocks that nothing else uses.
// For one thread.
#pragma once

#include <vector>

#include "scan/inodes/inode_scan.h"

namespace extscrub {

// Logical blocks [first, end).
struct LogicalRange {
  uint64_t first = 0, end = 0;
};

struct SalvagedMap {
  std::vector<Run> runs;           // in logical order, without overlaps, within what the inode can have
  std::vector<BlockNo> nodes;      // tree blocks that are the inode's alone
  std::vector<LogicalRange> lost;  // of the file's size: what damaged entries named or may have named; in order, apart
  bool sound = true;               // the map has no defect besides checksums
  bool whole = true;               // false: it is too long to be taken apart, and `runs` are not all
};

// `scan`: of the same state of the image, to tell what else uses a block.
[[nodiscard]] SalvagedMap salvage_map(const FileSystem& fs, const InodeScan& scan, const Inode& inode);

}  // namespace extscrub
