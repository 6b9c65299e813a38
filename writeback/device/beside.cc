#include "writeback/device/beside.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace extscrub {

namespace {

bool is_block_device(const std::filesystem::path& path) {
  struct stat st;
  return ::stat(path.c_str(), &st) == 0 && S_ISBLK(st.st_mode);
}

}  // namespace

std::filesystem::path path_beside(const std::filesystem::path& image, std::string_view suffix) {
  if (is_block_device(image)) return image.filename() += suffix;
  std::error_code none;
  std::filesystem::path path = image;
  if (std::filesystem::is_symlink(image, none)) {
    auto whole = std::filesystem::canonical(image, none);
    if (!none) path = std::move(whole);
  }
  return path += suffix;
}

int write_all(int fd, uint64_t at, Bytes bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    if (n == 0) return EIO;
    bytes = bytes.subspan(static_cast<size_t>(n));
    at += static_cast<uint64_t>(n);
  }
  return 0;
}

int sync_directory_of(const std::filesystem::path& path) {
  const std::filesystem::path directory = path.parent_path();
  const int fd = ::open(directory.empty() ? "." : directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return errno;
  const int error = ::fsync(fd) < 0 ? errno : 0;
  ::close(fd);
  return error;
}

}  // namespace extscrub
