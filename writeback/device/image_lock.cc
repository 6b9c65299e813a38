#include "writeback/device/image_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

#include "writeback/device/image_users.h"

namespace extscrub {

namespace {

// udev probes block devices under a shared lock for a moment: a block device is worth a few tries.
int lock_file(int fd, bool block_device) {
  constexpr int tries = 10;
  for (int i = 0;; ++i) {
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return 0;
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK || !block_device || i == tries) return errno;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

Error in_use_error(const std::filesystem::path& path, std::string what) {
  return Error{.code = EBUSY, .subject = path.string(), .after = std::move(what)};
}

}  // namespace

std::optional<std::string> image_in_use(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return std::nullopt;
  std::optional<std::string> user;
  if (const auto image = identify_file(fd, path)) user = find_user(*image);
  if (!user) user = find_lock_holder(fd, true);
  ::close(fd);
  return user;
}

Result<ImageLock> ImageLock::acquire(const std::filesystem::path& path) { return take(path, false); }

Result<ImageLock> ImageLock::acquire_served(const std::filesystem::path& path) { return take(path, true); }

Result<ImageLock> ImageLock::take(const std::filesystem::path& path, bool served) {
  const auto in_use = [&](const std::string& use) { return std::unexpected(in_use_error(path, " is in use: " + use)); };
  struct stat st{};
  const bool block_device = ::stat(path.c_str(), &st) == 0 && S_ISBLK(st.st_mode);
  // O_EXCL without O_CREAT is the kernel's own claim on a block device: a mount, swap or RAID that has it refuses us.
  const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | (block_device ? O_EXCL : 0);
  ImageLock lock;
  lock.fd_ = ::open(path.c_str(), flags);
  if (lock.fd_ < 0) {
    const int error = errno;
    if (error != EBUSY) return std::unexpected(file_error("cannot open", path.string(), error));
    if (const auto use = find_user({true, st.st_rdev, 0})) return in_use(*use);
    return std::unexpected(in_use_error(path, " is in use by the system"));
  }
  const auto identity = identify_file(lock.fd_, path);
  if (!identity) return std::unexpected(identity.error());
  lock.identity_ = *identity;
  if (const auto use = find_user(*identity)) return in_use(*use);

  if (const int error = lock_file(lock.fd_, identity->block_device)) {
    if (error != EWOULDBLOCK) return std::unexpected(file_error("cannot lock", path.string(), error));
    return std::unexpected(in_use_error(path, " is locked: another scrub works on it"));
  }
  if (served) return lock;
  // Ours first, then the look at others: of two that come at the same time, one at least sees the other.
  const bool taken = take_locks(lock.fd_);
  if (const auto use = find_lock_holder(lock.fd_, false)) return in_use(*use);
  if (!taken) return in_use("another program holds a lock on it");
  return lock;
}

ImageLock::ImageLock(ImageLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)), identity_(other.identity_) {}

ImageLock& ImageLock::operator=(ImageLock&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(identity_, other.identity_);
  return *this;
}

ImageLock::~ImageLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace extscrub
