// The pipeline over the blocks of all directories, in the order of the disk, each read once; then what holds only for a
// whole directory (index, names in different blocks) and for all of them (links).
// Works on the threads of the current task arena; the sink takes facts from all of them.
#pragma once

#include <functional>

#include "scan/directory/directory_facts.h"
#include "scan/format/dir_block.h"
#include "scan/inodes/inode_scan.h"

namespace extscrub {

// `scan`: of scan_inodes(); its links are counted down, and its directories learn their parents and children.
// Errors: cancelled.
[[nodiscard]] Result<DirectoryScan> scan_directories(const FileSystem& fs, InodeScan& scan, DirectorySink& sink,
                                                     Progress* progress);

// Calls fn(directory, entry) for every entry in use that can be read, from many threads at once: for the second look at
// the directories when something was found. Errors: cancelled.
[[nodiscard]] Result<void> for_each_entry(const FileSystem& fs, const DirectoryTable& table, Progress* progress,
                                          const std::function<void(InodeNo, const DirEntry&)>& fn);

}  // namespace extscrub
