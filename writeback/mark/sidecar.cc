#include "writeback/mark/sidecar.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <string>

#include "writeback/device/beside.h"

namespace extscrub {

namespace {

constexpr std::string_view kIdLine = "UUID: ";

std::string id_line(const FileSystemId& id) {
  std::string line(kIdLine);
  for (const std::byte b : id) line += fmt::format("{:02x}", std::to_integer<unsigned>(b));
  return line;
}

// 0, or the errno. Closes `fd`.
int write_and_close(int fd, std::string_view text) {
  int error = write_all(fd, 0, std::as_bytes(std::span(text)));
  if (error == 0 && ::fsync(fd) < 0) error = errno;
  if (::close(fd) < 0 && error == 0) error = errno;
  return error;
}

}  // namespace

std::filesystem::path sidecar_path(const std::filesystem::path& image) { return path_beside(image, ".extscrub-errored"); }

std::optional<std::filesystem::path> find_sidecar(const std::filesystem::path& image, const FileSystemId& id) {
  const std::filesystem::path path = sidecar_path(image);
  std::error_code ignored;
  if (!std::filesystem::exists(std::filesystem::symlink_status(path, ignored))) return std::nullopt;
  if (!std::filesystem::is_block_file(image, ignored)) return path;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);)
    if (line.starts_with(kIdLine)) return line == id_line(id) ? std::optional(path) : std::nullopt;
  return path;
}

int remove_sidecar(const std::filesystem::path& sidecar) {
  return ::unlink(sidecar.c_str()) < 0 ? errno : sync_directory_of(sidecar);
}

Result<std::filesystem::path> write_sidecar(const std::filesystem::path& image, const FileSystemId& id, std::string_view text) {
  const std::filesystem::path path = sidecar_path(image);
  std::string temporary = path.string() + ".XXXXXX";
  const auto failed = [&](int error) { return std::unexpected(file_error("cannot write", path.string(), error)); };
  const int fd = ::mkostemp(temporary.data(), O_CLOEXEC);
  if (fd < 0) return failed(errno);
  int error = write_and_close(fd, std::string(text) + id_line(id) + "\n");
  if (error == 0 && ::rename(temporary.c_str(), path.c_str()) < 0) error = errno;
  if (error != 0) {
    ::unlink(temporary.c_str());
    return failed(error);
  }
  if ((error = sync_directory_of(path)) != 0) return failed(error);
  return path;
}

}  // namespace extscrub
