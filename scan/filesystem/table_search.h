// Whether blocks are a group's bitmap or inode table, by what they hold; and where else it may be. Stateless: any thread.
#pragma once

#include <optional>
#include <span>

#include "scan/filesystem/file_system.h"

namespace extscrub {

enum class Evidence : uint8_t {
  against,  // they hold something else, or cannot be read
  none,     // they could be anyone's: a table that was never used, a bitmap that nothing tells about
  for_it,
};

// Of the inodes there, by their checksums, their types, and `.` of directories.
[[nodiscard]] Evidence table_evidence(const FileSystem& fs, GroupNo group, BlockNo at);

// Next to nothing in the first `inodes` there can be an inode of any group, and none is proven by its checksum to be this
// group's: a table that is damaged in part is not meant.
[[nodiscard]] bool holds_no_inodes(const FileSystem& fs, GroupNo group, BlockNo at, uint32_t inodes);

// An inode there is proven by its checksum to be the group's; without checksums, that what lies there looks like inodes.
[[nodiscard]] bool has_proven_inode(const FileSystem& fs, GroupNo group, BlockNo at);

// The first table has the root directory.
[[nodiscard]] bool has_root(const FileSystem& fs);

// Of a bitmap there, by the checksum and the count that `desc` keeps, the padding, and bits that are always set.
[[nodiscard]] Evidence bitmap_evidence(const FileSystem& fs, GroupNo group, MetadataKind kind, const GroupDesc& desc, BlockNo at);

// Nearly all inodes there that are in use could be those of the group.
[[nodiscard]] inline bool looks_like_table(const FileSystem& fs, GroupNo group, BlockNo at) {
  return table_evidence(fs, group, at) == Evidence::for_it;
}

// A place that looks like the group's table, other than where its descriptor says: what `copies` of the descriptors say,
// and where mke2fs puts it. None of it may lie on other metadata.
[[nodiscard]] std::optional<BlockNo> find_table(const FileSystem& fs, GroupNo group,
                                                std::span<const std::vector<GroupDesc>> copies);

// The blocks can be taken for the group's `kind`: no other structure that is where it may be lies there.
[[nodiscard]] bool is_vacant(const FileSystem& fs, GroupNo group, MetadataKind kind, BlockNo first, uint32_t count);

// The descriptors in the first sound backups, `most` of them.
[[nodiscard]] std::vector<std::vector<GroupDesc>> descriptor_copies(const FileSystem& fs, size_t most = 3);

}  // namespace extscrub
