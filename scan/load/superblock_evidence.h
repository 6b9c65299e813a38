// Whether a superblock is the one of the file system that begins at byte 0 of an image: what lies behind the primary
// superblock's place speaks for it. A backup's own surroundings prove nothing, for a file may hold them, or an older file
// system may have left them. Any thread.
#pragma once

#include "scan/filesystem/file_system.h"

namespace extscrub {

// `fs`: with superblock and geometry, its descriptors not loaded yet. True when the primary descriptors or the root
// directory's inode fit the superblock by their checksums; where there are none, when both fit by what
// they say, and the last block bitmap ends where the superblock says.
[[nodiscard]] bool fits_its_place(const FileSystem& fs);

// The same for what says where to look for the evidence: with metadata_csum, the size of descriptors (nearly every descriptor
// then fits), that of inodes and the seed of all checksums (the root's inode does). False without metadata_csum.
[[nodiscard]] bool fits_by_checksums(const FileSystem& fs);

// Behind the primary superblock's place lies the root directory of a file system that is laid out otherwise than `fs`, by what
// group 0's descriptor would have to be in blocks of any size: `fs` is an older one, or of a file.
[[nodiscard]] bool another_root_is_there(const FileSystem& fs);

// The descriptor names places for its structures that the group may have them at.
[[nodiscard]] bool names_places(const Geometry& geometry, GroupNo group, const GroupDesc& descriptor);

// The bits behind the last group's last cluster are set: a file system of more blocks would have some of them free.
[[nodiscard]] bool ends_with_last_group(const Geometry& geometry, Bytes last_block_bitmap);

// The same file system: the UUIDs are equal.
[[nodiscard]] bool same_uuid(const ext2_super_block& a, const ext2_super_block& b);

// As many blocks, in as large groups.
[[nodiscard]] bool same_size(const ext2_super_block& a, const ext2_super_block& b);

// The numbers that say how large the file system is and how its tables are laid out are the same. A kernel may have raised
// s_rev_level in the `primary` alone, and turns features on there: features are not compared.
[[nodiscard]] bool same_numbers(const ext2_super_block& primary, const ext2_super_block& backup);

}  // namespace extscrub
