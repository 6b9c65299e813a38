#include "scan/format/inode.h"

#include <algorithm>
#include <string_view>

namespace extscrub {

namespace {

bool all_zero(Bytes bytes) {
  return std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace

std::string_view name(FileType type) {
  switch (type) {
    case FileType::none: return "none";
    case FileType::fifo: return "pipe";
    case FileType::character: return "character device";
    case FileType::directory: return "directory";
    case FileType::block: return "block device";
    case FileType::regular: return "regular file";
    case FileType::symlink: return "symbolic link";
    case FileType::socket: return "socket";
    case FileType::unknown: return "unknown";
  }
  return "";
}

bool Inode::block_area_is_blank() const { return all_zero(block_area()); }

bool Inode::is_blank() const { return all_zero(raw_); }

}  // namespace extscrub
