// The entries of extended attributes, as far as they fit; scan/attribute/xattr_check.h verifies them. Stateless: any thread.
#pragma once

#include <vector>

#include "scan/filesystem/file_system.h"
#include "scan/format/inode.h"

namespace extscrub {

inline constexpr uint8_t kSystemIndex = 7;      // e_name_index of "system."; inline data is "system.data"
inline constexpr uint8_t kEncryptionIndex = 9;  // the encryption context is "c"

struct EaEntry {
  uint8_t name_index = 0;
  Bytes name;
  Bytes value;              // where it lies beside the entry, inside its space; without data() where it does not
  InodeNo value_inode;      // 0: the value lies beside the entry
  uint32_t value_size = 0;  // bytes
  uint32_t hash = 0;        // e_hash
};

// The entries of the attributes in the inode, or in an attribute block. Stops at the first entry that does not fit.
[[nodiscard]] std::vector<EaEntry> inode_ea_entries(const Geometry& geometry, const Inode& inode);
[[nodiscard]] std::vector<EaEntry> block_ea_entries(Bytes block);

}  // namespace extscrub
