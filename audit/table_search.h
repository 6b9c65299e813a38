// Whether blocks are a group's inode table, by what they hold; and where else it may be. Stateless: any thread.
#pragma once

#include <optional>
#include <span>

#include "scan/file_system.h"

namespace extscrub {

// Nearly all inodes there that are in use could be those of the group.
[[nodiscard]] bool looks_like_table(const FileSystem& fs, GroupNo group, BlockNo at);

// A place that looks like the group's table, other than where its descriptor says: what `copies` of the descriptors say,
// and where mke2fs puts it. None of it may lie on other metadata.
[[nodiscard]] std::optional<BlockNo> find_table(const FileSystem& fs, GroupNo group, std::span<const std::vector<GroupDesc>> copies);

// The blocks can be taken for the group's `kind`: no other structure that is where it may be lies there.
[[nodiscard]] bool is_vacant(const FileSystem& fs, GroupNo group, MetadataKind kind, BlockNo first, uint32_t count);

// The descriptors in the first few backups.
[[nodiscard]] std::vector<std::vector<GroupDesc>> descriptor_copies(const FileSystem& fs);

}  // namespace extscrub
