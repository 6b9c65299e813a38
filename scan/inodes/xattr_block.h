// The attribute blocks, each read and verified once however many inodes share it, in disk order.
// scan_ea_blocks() uses the threads of the current task arena and calls `take` from many of them at once.
#pragma once

#include <functional>

#include "scan/attribute/xattr_check.h"
#include "scan/inodes/inode_scan.h"

namespace extscrub {

struct EaBlockFacts {
  BlockNo block;
  InodeNo owner;                // the first of those that refer to it
  uint32_t references = 0;      // how many do
  uint32_t inline_symlinks = 0; // of those
  std::string unreadable;       // why it could not be read; empty when it was
  ext2_ext_attr_header header{};
  bool checksum_ok = true;      // or no checksum is kept
  uint32_t checksum_expected = 0;
  uint32_t hash_expected = 0;   // h_hash
  EaFacts attributes;           // nothing when the header is no header

  [[nodiscard]] bool header_ok() const { return header.h_magic == EXT2_EXT_ATTR_MAGIC && header.h_blocks == 1; }
};

// Adds the values that lie in inodes of their own to `scan.ea_values`, once a block. Errors: cancelled.
[[nodiscard]] Result<void> scan_ea_blocks(const FileSystem& fs, InodeScan& scan, Progress* progress,
                                          const std::function<void(const EaBlockFacts&)>& take);

}  // namespace extscrub
