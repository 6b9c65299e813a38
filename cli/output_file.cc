#include "cli/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace extscrub {

namespace fs = std::filesystem;

Result<OutputFile> OutputFile::create(const fs::path& path, unsigned mode) {
  OutputFile file;
  std::error_code ignored;
  // The target of a symbolic link is replaced, not the link.
  file.path_ = fs::weakly_canonical(path, ignored);
  if (ignored) file.path_ = path;

  struct stat st;
  if (::stat(path.c_str(), &st) == 0) {
    if (S_ISDIR(st.st_mode) || S_ISBLK(st.st_mode))
      return std::unexpected(Error{"it cannot be written: it is a directory or a block device"});
    if (!S_ISREG(st.st_mode)) {
      file.fd_ = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
      if (file.fd_ < 0) return std::unexpected(system_error("cannot open it for writing", errno));
      return file;
    }
  }
  // One that was killed may have had the same number and left its file: in a container most have.
  for (int n = 0; file.fd_ < 0 && (n == 0 || (errno == EEXIST && n < 100)); ++n) {
    file.temporary_ = file.path_;
    file.temporary_ += fmt::format(".{}-{}.tmp", ::getpid(), n);
    file.fd_ = ::open(file.temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  }
  if (file.fd_ < 0) {
    const int code = errno;
    file.temporary_.clear();
    return std::unexpected(system_error("cannot make a file beside it", code));
  }
  return file;
}

Result<void> OutputFile::finish(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd_, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return std::unexpected(system_error("cannot write", errno));
    text.remove_prefix(static_cast<size_t>(n));
  }
  if (temporary_.empty()) return {};
  if (::fsync(fd_) < 0) return std::unexpected(system_error("cannot bring it to the disk", errno));
  if (::rename(temporary_.c_str(), path_.c_str()) < 0)
    return std::unexpected(system_error("cannot give it its name", errno));
  temporary_.clear();
  return {};
}

OutputFile::OutputFile(OutputFile&& other) noexcept {
  *this = std::move(other);
}

OutputFile& OutputFile::operator=(OutputFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(temporary_, other.temporary_);
  std::swap(fd_, other.fd_);
  return *this;
}

OutputFile::~OutputFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

}  // namespace extscrub
