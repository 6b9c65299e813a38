// A directory whose mode was damaged: a device, pipe, socket or unknown kind whose first block is a directory's.
// Stateless: any thread.
#pragma once

#include "scan/file_system.h"
#include "scan/inode.h"

namespace extscrub {

// Reads the block only where the other fields leave the question open.
[[nodiscard]] bool is_misplaced_directory(const FileSystem& fs, const Inode& inode);

}  // namespace extscrub
