// What changed from one version of a block of metadata to the next, in the words of the format: fields of inodes, group
// descriptors and the superblock, names of directories, bits of bitmaps, and of all else bytes.
// Pure functions: any thread.
#pragma once

#include <string>
#include <vector>

#include "scan/filesystem/file_system.h"

namespace extscrub {

struct VersionChange {
  std::string what;           // "inode 12: i_size", "group 3: bg_checksum", "name a.txt", "bits set", "bytes"
  std::string before, after;  // as text; empty: there was, or is, none
};

// `before` and `after`: of `block`, which the metadata map has as `kind`; nothing for blocks that belong to an inode.
[[nodiscard]] std::vector<VersionChange> changes_of(const FileSystem& fs, BlockNo block, const MetadataExtent* kind, Bytes before,
                                                    Bytes after);

// Of one inode, by its inode_size bytes.
[[nodiscard]] std::vector<VersionChange> changes_of_inode(const FileSystem& fs, InodeNo ino, Bytes before, Bytes after);

}  // namespace extscrub
