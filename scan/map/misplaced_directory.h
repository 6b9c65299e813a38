// A directory whose mode was damaged: a device, pipe, socket or unknown kind whose first block is a directory's.
// Stateless: any thread.
#pragma once

#include "scan/filesystem/file_system.h"
#include "scan/format/inode.h"

namespace extscrub {

// The root inode, but it has no links, or says that it is something else than a directory.
[[nodiscard]] bool is_root_astray(const Inode& inode);

// The first block that is mapped holds `.` for this inode, then `..`, whatever the inode says that it is.
[[nodiscard]] bool begins_like_directory(const FileSystem& fs, const Inode& inode);

// Reads the block only where the other fields leave the question open.
[[nodiscard]] bool is_misplaced_directory(const FileSystem& fs, const Inode& inode);

}  // namespace extscrub
