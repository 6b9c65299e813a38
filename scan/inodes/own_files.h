// Files that the file system keeps for itself, outside of its reserved inodes. Stateless: any thread.
#pragma once

#include <vector>

#include "scan/filesystem/file_system.h"

namespace extscrub {

// The inodes that the superblock names as orphan file or quota file, and that are one: no entry may name them, and the
// kernel opens none that does. The quota files of users and groups have reserved inodes, that of projects has not.
[[nodiscard]] std::vector<InodeNo> find_own_files(const FileSystem& fs);

}  // namespace extscrub
