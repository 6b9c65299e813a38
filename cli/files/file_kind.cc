#include "cli/files/file_kind.h"

#include <sys/stat.h>

#include <charconv>
#include <string>

namespace extscrub {

namespace fs = std::filesystem;

std::string_view kind_of_file(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG: return "a regular file";
    case S_IFDIR: return "a directory";
    case S_IFIFO: return "a FIFO";
    case S_IFSOCK: return "a socket";
    case S_IFLNK: return "a symbolic link";
    case S_IFBLK: return "a block device";
    case S_IFCHR: return "a character device";
  }
  return "of an unknown kind";
}

std::optional<int> descriptor_of(fs::path path) {
  constexpr int kMostLinks = 40;  // as the kernel has it
  std::error_code error;
  const fs::path own = fs::canonical("/proc/self/fd", error);
  if (error) return std::nullopt;
  for (int links = 0; links < kMostLinks; ++links) {
    const std::string name = path.filename().native();
    int number = -1;
    const auto [end, wrong] = std::from_chars(name.data(), name.data() + name.size(), number);
    const bool is_number = wrong == std::errc() && end == name.data() + name.size() && number >= 0;
    if (is_number && fs::equivalent(path.parent_path(), own, error)) return number;
    const fs::path target = fs::read_symlink(path, error);
    if (error) return std::nullopt;
    path = path.parent_path() / target;
  }
  return std::nullopt;
}

}  // namespace extscrub
