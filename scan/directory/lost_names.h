// Names of inodes that are gone, in directory blocks that no directory has any more.
// Stateless: one call works on the calling thread.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "scan/inodes/inode_scan.h"

namespace extscrub {

struct LostName {
  InodeNo inode;
  std::string name;
};

// What one block holds of them.
struct LostNames {
  BlockNo block;
  InodeNo directory;  // whose first block it is; 0: it does not say
  std::vector<LostName> names;  // as they lie in the block; never empty
};

struct LostNameSearch {
  std::vector<LostNames> found;  // by block
  bool whole = true;  // false: there was more to read, or more was found, than is kept
};

// Looks through the blocks that nothing claims: where a block bitmap is sound, those that it calls used, elsewhere all of
// them. Names that lead to inodes of `groups` which are not in use are kept; directory entries as in struct
// ext4_dir_entry_2. Reads 1 GiB and keeps 10,000 names at most.
[[nodiscard]] LostNameSearch find_lost_names(const FileSystem& fs, const InodeScan& scan, const std::set<GroupNo>& groups);

}  // namespace extscrub
