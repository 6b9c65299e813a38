// The resize inode: inode 7, whose doubly indirect block lists the blocks reserved for group descriptors and whose
// indirect blocks, those reserved blocks themselves, list their copies in the backup groups.
// Stateless: any thread.
#pragma once

#include <string>

#include "scan/file_system.h"

namespace extscrub {

struct ResizeInodeFacts {
  std::string problem;  // what is wrong with it; empty when it is sound, or rightly absent
  BlockNo block;        // where, if a block is meant
  std::string expected, found;
};

[[nodiscard]] ResizeInodeFacts read_resize_inode(const FileSystem& fs);

}  // namespace extscrub
