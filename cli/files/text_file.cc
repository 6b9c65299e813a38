#include "cli/files/text_file.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "cli/files/file_kind.h"

namespace extscrub {

namespace {

// Closes what it holds.
class OpenFile {
 public:
  explicit OpenFile(int fd) : fd_(fd) {}
  ~OpenFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
};

std::unexpected<Error> cannot_read_from(std::string_view name, mode_t mode) {
  return std::unexpected(Error{fmt::format("cannot read {}: it is {}; a regular file is needed", name, kind_of_file(mode))});
}

bool is_null_device(const struct stat& st) { return S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3); }

// What can be read without an end in sight is read only where it was handed to this process.
bool may_be_read(const struct stat& st, const std::string& path) {
  if (S_ISREG(st.st_mode) || is_null_device(st)) return true;
  return (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)) && descriptor_of(path);
}

}  // namespace

Result<std::string> read_descriptor(int fd, std::string_view name, const TextFileRules& rules) {
  constexpr int kTick = 100;  // milliseconds; how often the stop flag is looked at
  std::string text;
  std::vector<char> piece(size_t{64} << 10);
  while (true) {
    if (rules.stop != nullptr && rules.stop->load(std::memory_order_relaxed))
      return std::unexpected(Error::cancelled(fmt::format("cancelled while {} was read", name)));
    struct pollfd ready{.fd = fd, .events = POLLIN, .revents = 0};
    if (::poll(&ready, 1, kTick) <= 0) continue;
    const ssize_t n = ::read(fd, piece.data(), piece.size());
    if (n == 0) return text;
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n < 0) return std::unexpected(system_error(fmt::format("cannot read {}", name), errno));
    if (static_cast<uint64_t>(n) > rules.most - text.size())
      return std::unexpected(Error{fmt::format("{} is too large: more than {} bytes", name, rules.most)});
    text.append(piece.data(), static_cast<size_t>(n));
  }
}

Result<std::string> read_text_file(const std::string& path, std::string_view name, const TextFileRules& rules) {
  const int how = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | (rules.follow_link ? 0 : O_NOFOLLOW);
  const OpenFile file(::openat(rules.directory, path.c_str(), how));
  if (file.fd() < 0) {
    if (errno == ELOOP && !rules.follow_link) return cannot_read_from(name, S_IFLNK);
    if (errno == ENXIO) return cannot_read_from(name, S_IFSOCK);
    return std::unexpected(system_error(fmt::format("cannot open {}", name), errno));
  }
  struct stat st{};
  if (::fstat(file.fd(), &st) != 0) return std::unexpected(system_error(fmt::format("cannot read {}", name), errno));
  if (!may_be_read(st, path)) return cannot_read_from(name, st.st_mode);
  return read_descriptor(file.fd(), name, rules);
}

}  // namespace extscrub
