#include "writeback/sidecar.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>
#include <system_error>

namespace extscrub {

namespace {

// 0, or the errno. Closes `fd`.
int write_and_close(int fd, std::string_view text) {
  int error = 0;
  while (!text.empty() && error == 0) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n > 0) text.remove_prefix(static_cast<size_t>(n));
    if (n < 0 && errno != EINTR) error = errno;
    if (n == 0) error = EIO;
  }
  if (error == 0 && ::fsync(fd) < 0) error = errno;
  if (::close(fd) < 0 && error == 0) error = errno;
  return error;
}

int sync_directory(const std::filesystem::path& directory) {
  const int fd = ::open(directory.empty() ? "." : directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return errno;
  const int error = ::fsync(fd) < 0 ? errno : 0;
  ::close(fd);
  return error;
}

}  // namespace

std::filesystem::path sidecar_path(const std::filesystem::path& image) {
  std::error_code none;
  std::filesystem::path path = image;
  if (std::filesystem::is_symlink(image, none)) {
    auto whole = std::filesystem::canonical(image, none);
    if (!none) path = std::move(whole);
  }
  return path += ".extscrub-errored";
}

Result<std::filesystem::path> write_sidecar(const std::filesystem::path& image, std::string_view text) {
  const std::filesystem::path path = sidecar_path(image);
  std::string temporary = path.string() + ".XXXXXX";
  const auto failed = [&](int error) { return std::unexpected(system_error("cannot write " + path.string(), error)); };
  const int fd = ::mkostemp(temporary.data(), O_CLOEXEC);
  if (fd < 0) return failed(errno);
  int error = write_and_close(fd, text);
  if (error == 0 && ::rename(temporary.c_str(), path.c_str()) < 0) error = errno;
  if (error != 0) {
    ::unlink(temporary.c_str());
    return failed(error);
  }
  if ((error = sync_directory(path.parent_path())) != 0) return failed(error);
  return path;
}

}  // namespace extscrub
