// The value of one extended attribute: for the few that the structure itself is kept in (inline data, encryption
// policies). Stateless: any thread.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "scan/file_system.h"
#include "scan/inode.h"

namespace extscrub {

inline constexpr uint8_t kSystemIndex = 7;      // e_name_index of "system."; inline data is "system.data"
inline constexpr uint8_t kEncryptionIndex = 9;  // the encryption context is "c"

// The value stored in the inode itself; nothing when there is no such attribute there, or it does not fit.
[[nodiscard]] std::optional<Bytes> inode_ea_value(const Geometry& geometry, const Inode& inode, uint8_t index,
                                                  std::string_view name);

// The value in the inode or in its attribute block, copied; empty when there is none.
[[nodiscard]] std::vector<std::byte> ea_value(const FileSystem& fs, const Inode& inode, uint8_t index, std::string_view name);

}  // namespace extscrub
