// The value of one extended attribute: for the few that the structure itself is kept in (inline data, encryption
// policies). Stateless: any thread.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "scan/attribute/xattr.h"  // the index numbers
#include "scan/filesystem/file_system.h"
#include "scan/format/inode.h"

namespace extscrub {

// The value stored in the inode itself; nothing when there is no such attribute there, or it does not fit.
[[nodiscard]] std::optional<Bytes> inode_ea_value(const Geometry& geometry, const Inode& inode, uint8_t index,
                                                  std::string_view name);

// The value in the inode or in its attribute block, copied; empty when there is none.
[[nodiscard]] std::vector<std::byte> ea_value(const FileSystem& fs, const Inode& inode, uint8_t index, std::string_view name);

}  // namespace extscrub
