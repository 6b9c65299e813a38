// Inodes below the first one for files: which are set up, and what leads to them. Stateless: any thread.
#pragma once

#include "scan/filesystem/file_system.h"
#include "scan/format/inode.h"

namespace extscrub {

[[nodiscard]] inline bool is_reserved(const Geometry& geometry, InodeNo ino) { return ino.value < geometry.first_inode; }

// The superblock names this inode as its journal, or as its quota file of users or of groups.
[[nodiscard]] bool is_named_journal(const FileSystem& fs, InodeNo ino);
[[nodiscard]] bool is_named_quota_file(const FileSystem& fs, InodeNo ino);

// It is the inode of the blocks that resizing keeps back, and the superblock has the feature.
[[nodiscard]] bool is_resize_inode(const FileSystem& fs, InodeNo ino);

// The inode is kept for a journal or a quota file, but the superblock names none there, and neither links, blocks nor the
// first of i_block say that there is one: what else lies in it is nobody's, and e2fsck and the kernel do not look at it.
[[nodiscard]] bool is_left_unnamed(const FileSystem& fs, const Inode& inode);

// Something leads to the inode, or would if it were what it should be.
[[nodiscard]] bool is_named(const FileSystem& fs, InodeNo ino);

// It holds other bytes than an inode's: two fields that every Linux leaves zero are not.
[[nodiscard]] bool has_foreign_bytes(const Inode& inode);

// Its fields fit together, in use or deleted: as good as no other bytes do.
[[nodiscard]] bool may_be_inode(const Geometry& geometry, const Inode& inode);

// Behind its fields lies what is not attributes: of a larger s_inode_size than it was written with, the next inode.
[[nodiscard]] bool holds_more_than_inode(const Geometry& geometry, const Inode& inode);

}  // namespace extscrub
