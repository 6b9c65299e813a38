#include "scan/image/image.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fmt/format.h>

namespace extscrub {

namespace {

Result<struct stat> look_at(int fd, const std::filesystem::path& path) {
  struct stat st;
  if (::fstat(fd, &st) < 0) return std::unexpected(file_error("cannot stat", path.string(), errno));
  if (S_ISDIR(st.st_mode)) return std::unexpected(file_error("cannot open", path.string(), EISDIR, " as an image"));
  if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
    return std::unexpected(Error{.subject = path.string(), .after = " is neither a regular file nor a block device"});
  return st;
}

}  // namespace

Result<FileIdentity> identify_file(int fd, const std::filesystem::path& path) {
  const auto st = look_at(fd, path);
  if (!st) return std::unexpected(st.error());
  if (S_ISBLK(st->st_mode)) return FileIdentity{true, st->st_rdev, 0};
  return FileIdentity{false, st->st_dev, st->st_ino};
}

Result<uint64_t> size_of_file(int fd, const std::filesystem::path& path) {
  const auto st = look_at(fd, path);
  if (!st) return std::unexpected(st.error());
  if (S_ISREG(st->st_mode)) return static_cast<uint64_t>(st->st_size);
  uint64_t size = 0;
  if (::ioctl(fd, BLKGETSIZE64, &size) < 0)
    return std::unexpected(system_error("cannot tell the size of " + path.string(), errno));
  return size;
}

Result<Image> Image::open(const std::filesystem::path& path, uint64_t offset, std::optional<uint64_t> length) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return std::unexpected(file_error("cannot open", path.string(), errno));
  auto image = adopt(fd, path);
  if (!image) return image;
  if (const auto limited = image->limit(offset, length); !limited) return std::unexpected(limited.error());
  return image;
}

Result<Image> Image::adopt(int fd, const std::filesystem::path& path) {
  Image image;
  image.path_ = path;
  image.fd_ = fd;
  const auto identity = identify_file(fd, path);
  if (!identity) return std::unexpected(identity.error());
  const auto size = size_of_file(fd, path);
  if (!size) return std::unexpected(size.error());
  if (*size == 0) return std::unexpected(Error{.subject = path.string(), .after = " is empty"});
  image.identity_ = *identity;
  image.file_size_ = image.size_ = *size;
  return image;
}

Result<Image> Image::part(uint64_t offset, std::optional<uint64_t> length) const {
  const int fd = ::fcntl(fd_, F_DUPFD_CLOEXEC, 0);
  if (fd < 0) return std::unexpected(file_error("cannot open", path_.string(), errno));
  auto image = adopt(fd, path_);
  if (!image) return image;
  if (const auto limited = image->limit(offset, length); !limited) return std::unexpected(limited.error());
  return image;
}

std::optional<std::string> Image::resized() const {
  const auto size = size_of_file(fd_, path_);
  if (!size) return text_of(size.error());
  if (*size == file_size_) return std::nullopt;
  return fmt::format("its size changed from {} to {} bytes", file_size_, *size);
}

Result<void> Image::limit(uint64_t offset, std::optional<uint64_t> length) {
  if (offset >= size_)
    return std::unexpected(Error{fmt::format("--offset {} lies behind the end of {} ({} bytes)", offset, path_.string(), size_)});
  offset_ = offset;
  size_ -= offset;
  if (length) size_ = std::min(size_, *length);
  return {};
}

Image::Image(Image&& other) noexcept { *this = std::move(other); }

Image& Image::operator=(Image&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(offset_, other.offset_);
  std::swap(size_, other.size_);
  std::swap(identity_, other.identity_);
  std::swap(file_size_, other.file_size_);
  std::swap(limit_, other.limit_);
  return *this;
}

Image::~Image() {
  if (fd_ >= 0) ::close(fd_);
}

void Image::limit_rate(std::shared_ptr<RateLimit> limit) {
  limit_ = std::move(limit);
  (void)::posix_fadvise(fd_, 0, 0, POSIX_FADV_RANDOM);
}

Result<void> Image::read(uint64_t at, MutableBytes out) const {
  if (limit_) limit_->take(out.size());
  while (!out.empty()) {
    const ssize_t n = ::pread(fd_, out.data(), out.size(), static_cast<off_t>(offset_ + at));
    if (n < 0) {
      if (errno == EINTR) continue;
      return std::unexpected(system_error(fmt::format("cannot read {} bytes at byte {}", out.size(), at), errno));
    }
    if (n == 0)
      return std::unexpected(Error{fmt::format("the image ends before byte {}", at + out.size()), ErrorKind::truncated, EIO});
    at += static_cast<uint64_t>(n);
    out = out.subspan(static_cast<size_t>(n));
  }
  return {};
}

void Image::prefetch(uint64_t at, uint64_t length) const noexcept {
  if (!reads_ahead()) return;
  (void)::posix_fadvise(fd_, static_cast<off_t>(offset_ + at), static_cast<off_t>(length), POSIX_FADV_WILLNEED);
}

void Image::forget(uint64_t at, uint64_t length) const noexcept {
  (void)::posix_fadvise(fd_, static_cast<off_t>(offset_ + at), static_cast<off_t>(length), POSIX_FADV_DONTNEED);
}

}  // namespace extscrub
