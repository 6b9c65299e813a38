// All files of an image, or of one under its staged repairs, to compare before and after. One thread.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "scan/image/image.h"
#include "scan/image/overlay.h"

namespace extscrub::test {

struct FileItem {
  uint16_t mode = 0, links = 0;
  uint32_t uid = 0, gid = 0;
  uint64_t size = 0;
  uint32_t contents = 0, attributes = 0;  // CRC-32C
  bool operator==(const FileItem&) const = default;
};

struct FileTree {
  std::map<uint32_t, FileItem> inodes;     // those for files, with links
  std::map<std::string, uint32_t> paths;   // each name, with its inode
};

[[nodiscard]] FileTree tree_of(const Image& image, const Overlay* overlay = nullptr);

// What of `before` is not in `after` as it was, a line each; empty when all is. Files of `own` and what lies below them are left
// out by their paths, and those files' own inodes, as is `own_inode`.
[[nodiscard]] std::string difference(const FileTree& before, const FileTree& after, const std::vector<std::string_view>& own,
                                     uint32_t own_inode = 0);

}  // namespace extscrub::test
