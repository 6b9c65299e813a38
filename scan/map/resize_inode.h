// The resize inode: inode 7, whose doubly indirect block lists the blocks reserved for group descriptors and whose
// indirect blocks, those reserved blocks themselves, list their copies in the backup groups.
// Stateless: any thread.
#pragma once

#include <optional>
#include <string>

#include "scan/filesystem/file_system.h"

namespace extscrub {

struct ResizeInodeFacts {
  std::string problem;  // what is wrong with it; empty when it is sound, or rightly absent
  BlockNo block;        // where, if a block is meant
  std::string expected, found;
  // The number of reserved blocks, by a list without a mistake that s_reserved_gdt_blocks contradicts together with the rest
  // of the image. Then nothing is said of the inode: it is the field that is wrong.
  std::optional<uint32_t> reserved_blocks;
};

[[nodiscard]] ResizeInodeFacts read_resize_inode(const FileSystem& fs);

}  // namespace extscrub
