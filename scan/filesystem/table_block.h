// What one block of an inode table holds, told by the checksums and the times of its inodes: whether it is written where it
// belongs, and which of two versions of it is the older one.
// Stateless: any thread.
#pragma once

#include <limits>
#include <optional>
#include <vector>

#include "scan/filesystem/file_system.h"
#include "scan/format/inode.h"

namespace extscrub {

// The inodes of one block of a table: `count` of them from `first` on; behind the group's last inode there are none.
struct TableBlock {
  InodeNo first;
  uint32_t count = 0;
};

// Nothing when the block belongs to no inode table.
[[nodiscard]] std::optional<TableBlock> find_table_block(const FileSystem& fs, BlockNo block);

// Every inode in it is blank, or carries the checksum that it has to have there. Without checksums in the file system: those
// with links are of a type that there is.
[[nodiscard]] bool is_sound(const FileSystem& fs, const TableBlock& place, Bytes block);

// Where the block belongs, by the checksums of all its inodes that are not blank: they were made for inodes in another
// block, all in the same. Nothing where one fits, or they do not agree.
[[nodiscard]] std::optional<BlockNo> find_home(const FileSystem& fs, const TableBlock& place, Bytes block);

// The inodes in which the two versions differ, but for the time of the last access.
[[nodiscard]] std::vector<InodeNo> differing_inodes(const FileSystem& fs, const TableBlock& place, Bytes a, Bytes b);

// What is known of when a version of a block was written, in nanoseconds since 1970: an older one is of before `known`, and
// nothing happened to the block from then on until `begin`.
struct WriteTime {
  int64_t known = std::numeric_limits<int64_t>::max();
  int64_t begin = std::numeric_limits<int64_t>::min();
};

// Whether `old` is what the block was at some moment before `fresh`: every inode that differs was changed, made or deleted
// behind everything that the old version knows of, and when something happened to the block. Somebody who edits single inodes
// does not leave that behind.
[[nodiscard]] bool is_older(const FileSystem& fs, const TableBlock& place, Bytes old, Bytes fresh, const WriteTime& written = {});

// By i_crtime, behind `time`. False where the inode does not have it.
[[nodiscard]] bool is_made_since(const Inode& inode, int64_t time);

}  // namespace extscrub
