#include "writeback/image_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <fstream>
#include <sstream>
#include <thread>
#include <utility>
#include <vector>

namespace extscrub {

namespace {

struct FileId {
  bool block_device = false;
  dev_t device = 0;  // of the device itself, or of the file system the file is on
  ino_t inode = 0;   // 0 for a block device
  bool operator==(const FileId&) const = default;
};

std::optional<FileId> identify(const std::filesystem::path& path) {
  struct stat st;
  if (::stat(path.c_str(), &st) < 0) return std::nullopt;
  if (S_ISBLK(st.st_mode)) return FileId{true, st.st_rdev, 0};
  return FileId{false, st.st_dev, st.st_ino};
}

std::string first_line(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line;
}

// "8:1" of sysfs and mountinfo.
std::optional<dev_t> parse_device(const std::string& text) {
  unsigned major = 0, minor = 0;
  char colon = 0;
  std::istringstream in(text);
  if (!(in >> major >> colon >> minor) || colon != ':') return std::nullopt;
  return ::makedev(major, minor);
}

// proc_pid_mountinfo(5) writes space, tab, newline and backslash in a path as \ooo.
std::string unescape_octal(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto digit = [&](size_t k) { return i + k < text.size() && text[i + k] >= '0' && text[i + k] <= '7'; };
    if (text[i] == '\\' && digit(1) && digit(2) && digit(3)) {
      out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

// Where a file system on this device is mounted. Fields of mountinfo: ID, parent, major:minor, root, mount point, ...
std::optional<std::string> mount_point_of(dev_t device) {
  std::ifstream in("/proc/self/mountinfo");
  for (std::string line; std::getline(in, line);) {
    std::istringstream fields(line);
    std::string id, parent, number, root, mount_point;
    if (fields >> id >> parent >> number >> root >> mount_point && parse_device(number) == device)
      return unescape_octal(mount_point);
  }
  return std::nullopt;
}

struct Loop {
  std::string name;  // "loop0"
  dev_t device;
};

// The loop devices that have this file or device behind them.
std::vector<Loop> loops_over(const FileId& image) {
  std::vector<Loop> loops;
  std::error_code error;
  std::filesystem::directory_iterator it("/sys/block", error);
  for (; !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
    const std::string name = it->path().filename();
    if (!name.starts_with("loop")) continue;
    const std::string backing = first_line(it->path() / "loop/backing_file");
    if (backing.empty() || identify(backing) != image) continue;
    if (const auto device = parse_device(first_line(it->path() / "dev"))) loops.push_back({name, *device});
  }
  return loops;
}

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

}  // namespace

std::optional<std::string> image_in_use(const std::filesystem::path& path) {
  const auto image = identify(path);
  if (!image) return std::nullopt;
  if (image->block_device)
    if (const auto where = mount_point_of(image->device)) return "it is mounted on " + *where;
  for (const Loop& loop : loops_over(*image)) {
    const std::string device = "/dev/" + loop.name;
    if (const auto where = mount_point_of(loop.device)) return "it is mounted on " + *where + " through " + device;
    return "loop device " + device + " is attached to it";
  }
  return std::nullopt;
}

Result<ImageLock> ImageLock::acquire(const std::filesystem::path& path) {
  const auto image = identify(path);
  const bool block_device = image && image->block_device;
  // O_EXCL without O_CREAT is the kernel's own claim on a block device: a mount, swap or RAID that has it refuses us.
  const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | (block_device ? O_EXCL : 0);
  ImageLock lock;
  lock.fd_ = ::open(path.c_str(), flags);
  const int open_error = lock.fd_ < 0 ? errno : 0;

  if (open_error == 0 || open_error == EBUSY) {
    if (const auto use = image_in_use(path))
      return std::unexpected(Error{path.string() + " is in use: " + *use, EBUSY});
  }
  if (open_error == EBUSY) return std::unexpected(Error{path.string() + " is in use by the system", EBUSY});
  if (open_error != 0) return std::unexpected(system_error("cannot open " + path.string(), open_error));
  const auto identity = identify_file(lock.fd_, path);
  if (!identity) return std::unexpected(identity.error());
  lock.identity_ = *identity;

  if (const int error = lock_file(lock.fd_, block_device)) {
    if (error != EWOULDBLOCK) return std::unexpected(system_error("cannot lock " + path.string(), error));
    return std::unexpected(Error{path.string() + " is locked: another scrub works on it", EBUSY});
  }
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
