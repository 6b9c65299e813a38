#include "scan/image.h"

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

Result<Image> Image::open(const std::filesystem::path& path, uint64_t offset, std::optional<uint64_t> length) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return std::unexpected(system_error("cannot open " + path.string(), errno));
  auto image = adopt(fd, path);
  if (!image) return image;
  if (const auto limited = image->limit(offset, length); !limited) return std::unexpected(limited.error());
  return image;
}

Result<Image> Image::adopt(int fd, const std::filesystem::path& path) {
  Image image;
  image.path_ = path;
  image.fd_ = fd;
  struct stat st;
  if (::fstat(image.fd_, &st) < 0) return std::unexpected(system_error("cannot stat " + path.string(), errno));
  if (S_ISREG(st.st_mode)) {
    image.size_ = static_cast<uint64_t>(st.st_size);
  } else if (S_ISBLK(st.st_mode)) {
    image.is_block_device_ = true;
    if (::ioctl(image.fd_, BLKGETSIZE64, &image.size_) < 0)
      return std::unexpected(system_error("cannot tell the size of " + path.string(), errno));
  } else if (S_ISDIR(st.st_mode)) {
    return std::unexpected(system_error("cannot open " + path.string() + " as an image", EISDIR));
  } else {
    return std::unexpected(Error{path.string() + " is neither a regular file nor a block device"});
  }
  if (image.size_ == 0) return std::unexpected(Error{path.string() + " is empty"});
  return image;
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
  std::swap(is_block_device_, other.is_block_device_);
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
    if (n == 0) return std::unexpected(Error{fmt::format("the image ends before byte {}", at + out.size()), EIO});
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
