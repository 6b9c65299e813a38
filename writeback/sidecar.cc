#include "writeback/sidecar.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>

#include "writeback/beside.h"

namespace extscrub {

namespace {

// 0, or the errno. Closes `fd`.
int write_and_close(int fd, std::string_view text) {
  int error = write_all(fd, 0, std::as_bytes(std::span(text)));
  if (error == 0 && ::fsync(fd) < 0) error = errno;
  if (::close(fd) < 0 && error == 0) error = errno;
  return error;
}

}  // namespace

std::filesystem::path sidecar_path(const std::filesystem::path& image) {
  return path_beside(image, ".extscrub-errored");
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
  if ((error = sync_directory_of(path)) != 0) return failed(error);
  return path;
}

}  // namespace extscrub
