#include "cli/files/output_file.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "cli/files/file_kind.h"

namespace extscrub {

namespace fs = std::filesystem;

namespace {

// A descriptor of its own for the same open file, with its place in it. Errors: it is not open, or only for reading.
Result<int> own_descriptor(int given) {
  const int flags = ::fcntl(given, F_GETFL);
  if (flags >= 0 && (flags & O_ACCMODE) == O_RDONLY) errno = EBADF;
  const int fd = flags < 0 || (flags & O_ACCMODE) == O_RDONLY ? -1 : ::fcntl(given, F_DUPFD_CLOEXEC, 0);
  if (fd < 0) return std::unexpected(system_error(fmt::format("descriptor {} cannot be written to", given), errno));
  return fd;
}

std::unexpected<Error> cannot_write_to(mode_t mode) {
  return std::unexpected(Error{fmt::format("it cannot be written: it is {}; give another file", kind_of_file(mode))});
}

// A pipe or a device, as it is. Errors: it cannot be opened; a FIFO has no reader.
Result<int> open_directly(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd >= 0) return fd;
  if (errno == ENXIO)
    return std::unexpected(Error{"nobody reads from this FIFO; start its reader first, or give a regular file"});
  return std::unexpected(system_error("cannot open it for writing", errno));
}

}  // namespace

Result<OutputFile> OutputFile::create(const fs::path& path, unsigned mode) {
  OutputFile file;
  struct stat st;
  const bool is_there = ::stat(path.c_str(), &st) == 0;
  if (const auto given = descriptor_of(path)) {
    const auto fd = own_descriptor(*given);
    if (!fd) return std::unexpected(fd.error());
    file.fd_ = *fd;
    return file;
  }
  if (is_there && (S_ISDIR(st.st_mode) || S_ISBLK(st.st_mode) || S_ISSOCK(st.st_mode))) return cannot_write_to(st.st_mode);
  if (is_there && !S_ISREG(st.st_mode)) {
    const auto fd = open_directly(path);
    if (!fd) return std::unexpected(fd.error());
    file.fd_ = *fd;
    return file;
  }
  std::error_code ignored;
  // The target of a symbolic link is replaced, not the link.
  file.path_ = fs::weakly_canonical(path, ignored);
  if (ignored) file.path_ = path;
  if (const auto made = file.make_temporary(mode); !made) return std::unexpected(made.error());
  return file;
}

Result<OutputFile> OutputFile::create_in(int directory, const std::string& name, unsigned mode) {
  OutputFile file;
  file.directory_ = directory;
  file.path_ = name;
  if (const auto made = file.make_temporary(mode); !made) return std::unexpected(made.error());
  return file;
}

Result<void> OutputFile::may_replace(const fs::path& path) {
  struct stat st;
  if (descriptor_of(path) || ::stat(path.c_str(), &st) != 0 || S_ISREG(st.st_mode) || S_ISCHR(st.st_mode)) return {};
  return cannot_write_to(st.st_mode);
}

Result<void> OutputFile::make_temporary(unsigned mode) {
  // One that was killed may have had the same number and left its file: in a container most have.
  for (int n = 0; fd_ < 0 && (n == 0 || (errno == EEXIST && n < 100)); ++n) {
    temporary_ = path_;
    temporary_ += fmt::format(".{}-{}.tmp", ::getpid(), n);
    fd_ = ::openat(directory_, temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  }
  if (fd_ >= 0) return {};
  const int code = errno;
  temporary_.clear();
  return std::unexpected(system_error("cannot make a file beside it", code));
}

Result<void> OutputFile::write(std::string_view text) const {
  while (!text.empty()) {
    const ssize_t n = ::write(fd_, text.data(), text.size());
    if (n >= 0) text.remove_prefix(static_cast<size_t>(n));
    if (n >= 0 || errno == EINTR) continue;
    if (errno != EAGAIN) return std::unexpected(system_error("cannot write", errno));
    // A pipe whose reader is slow. A signal ends the wait: all that are caught ask this process to stop.
    struct pollfd ready{.fd = fd_, .events = POLLOUT, .revents = 0};
    if (::poll(&ready, 1, -1) < 0) return std::unexpected(system_error("gave up waiting for the reader", errno));
  }
  return {};
}

Result<void> OutputFile::finish(std::string_view text) {
  if (const auto written = write(text); !written) return written;
  if (temporary_.empty()) return {};
  if (::fsync(fd_) < 0) return std::unexpected(system_error("cannot bring it to the disk", errno));
  if (::renameat(directory_, temporary_.c_str(), directory_, path_.c_str()) < 0)
    return std::unexpected(system_error("cannot give it its name", errno));
  temporary_.clear();
  return {};
}

OutputFile::OutputFile(OutputFile&& other) noexcept { *this = std::move(other); }

OutputFile& OutputFile::operator=(OutputFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(temporary_, other.temporary_);
  std::swap(directory_, other.directory_);
  std::swap(fd_, other.fd_);
  return *this;
}

OutputFile::~OutputFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!temporary_.empty()) ::unlinkat(directory_, temporary_.c_str(), 0);
}

}  // namespace extscrub
