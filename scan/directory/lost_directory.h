// A directory that its own inode denies: it says that it is a file, or that it was deleted, while the entry in its parent and
// the first of its blocks say what it is.
// Stateless: any thread, once all inodes were scanned.
#pragma once

#include "scan/inodes/inode_scan.h"

namespace extscrub {

// `parent` has an entry for the inode that calls it a directory. Reads the inode, and its first block only where its other
// fields leave the question open. One that was deleted must have its blocks for itself: a deletion that was not finished
// leaves a name as well, but the blocks are free to be used for something else.
[[nodiscard]] bool is_lost_directory(const FileSystem& fs, const InodeScan& scan, InodeNo ino, InodeNo parent);

}  // namespace extscrub
