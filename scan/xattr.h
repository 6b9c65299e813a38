// Extended attributes as far as block accounting needs them: the entries, and those whose value lies in an inode of its
// own (ea_inode). Stateless: any thread.
#pragma once

#include <vector>

#include "scan/file_system.h"
#include "scan/inode.h"

namespace extscrub {

struct EaEntry {
  uint8_t name_index = 0;
  Bytes name;
  Bytes value;              // where it lies beside the entry, inside its space
  InodeNo value_inode;      // 0: the value lies beside the entry
  uint32_t value_size = 0;  // bytes
  uint32_t hash = 0;        // e_hash
};

// The entries of the attributes in the inode, or in an attribute block. Stops at the first entry that does not fit.
[[nodiscard]] std::vector<EaEntry> inode_ea_entries(const Geometry& geometry, const Inode& inode);
[[nodiscard]] std::vector<EaEntry> block_ea_entries(Bytes block);

// Clusters that i_blocks counts for the values of `entries` in ea_inodes. Values in the old Lustre form (the ea_inode
// names its owner in i_mtime) are not counted.
[[nodiscard]] uint64_t charged_ea_clusters(const FileSystem& fs, const Inode& owner, const std::vector<EaEntry>& entries);

// Reads one inode into `raw` (inode_size bytes). Errors: no such inode, its table's location is invalid, or the device.
[[nodiscard]] Result<void> read_inode(const FileSystem& fs, InodeNo ino, MutableBytes raw);

}  // namespace extscrub
