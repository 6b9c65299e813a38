// The target of a symbolic link, wherever it is stored: in i_block, in one block, or as inline data.
// Stateless: any thread.
#pragma once

#include <string>

#include "scan/attribute/xattr_check.h"
#include "scan/map/block_map.h"

namespace extscrub {

struct SymlinkFacts {
  bool readable = true;       // the block that holds the target could be read
  uint64_t length = 0;        // bytes the target has: up to its NUL, or as its length header says when encrypted
  uint64_t room = 0;          // bytes of the place it lies in
  std::string empty_reason;   // why there is no target to be found; empty when there is one
};

// `block`: the physical block at logical 0, when it is the only one mapped; 0 else. `attributes`: those in the inode.
// `fetched`: the block's bytes, if they were read already; null else.
[[nodiscard]] SymlinkFacts read_symlink(const FileSystem& fs, const Inode& inode, BlockNo block, const EaFacts* attributes,
                                        const std::byte* fetched = nullptr);

[[nodiscard]] inline bool is_inline_symlink(const Inode& inode) {
  return inode.type() == FileType::symlink && inode.is(EXT4_INLINE_DATA_FL);
}

// The bytes of inline data: those in i_block and those of the attribute system.data; 0 without that attribute.
[[nodiscard]] uint64_t inline_data_size(const Inode& inode, const EaFacts* attributes);

}  // namespace extscrub
