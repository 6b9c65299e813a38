#include "writeback/device/image_users.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <vector>

namespace extscrub {

namespace fs = std::filesystem;

namespace {

// A block device that has the image's bytes: itself, a loop device over it, or a partition of one of them.
struct Device {
  uint64_t number = 0;
  std::string path;  // empty for the image itself
  [[nodiscard]] std::string through() const { return path.empty() ? "" : " through " + path; }
};

std::optional<FileIdentity> identify(const fs::path& path) {
  struct stat st;
  if (::stat(path.c_str(), &st) < 0) return std::nullopt;
  if (S_ISBLK(st.st_mode)) return FileIdentity{true, st.st_rdev, 0};
  return FileIdentity{false, st.st_dev, st.st_ino};
}

std::string first_line(const fs::path& path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line;
}

// "8:1" of sysfs and mountinfo.
std::optional<uint64_t> parse_device(const std::string& text) {
  unsigned major = 0, minor = 0;
  char colon = 0;
  std::istringstream in(text);
  if (!(in >> major >> colon >> minor) || colon != ':') return std::nullopt;
  return ::makedev(major, minor);
}

// proc_pid_mountinfo(5) and proc_swaps(5) write space, tab, newline and backslash in a path as \ooo.
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

// The entries of a directory that may not be there, or change.
std::vector<fs::path> entries_of(const fs::path& directory) {
  std::vector<fs::path> entries;
  std::error_code error;
  fs::directory_iterator it(directory, error);
  for (; !error && it != fs::directory_iterator(); it.increment(error)) entries.push_back(it->path());
  std::ranges::sort(entries);
  return entries;
}

fs::path sysfs_of(uint64_t device) { return fmt::format("/sys/dev/block/{}:{}", major(device), minor(device)); }

struct Mount {
  std::string point;
  bool elsewhere = false;  // in another mount namespace
  std::string text() const { return point + (elsewhere ? " in another mount namespace" : ""); }
};

// Fields of mountinfo: ID, parent, major:minor, root, mount point, options, optional fields, "-", type, source, options.
std::optional<std::string> find_mount(std::istream& in, const FileIdentity& image) {
  for (std::string line; std::getline(in, line);) {
    std::istringstream fields(line);
    std::string id, parent, number, root, point, word, type, source;
    if (!(fields >> id >> parent >> number >> root >> point)) continue;
    if (image.block_device && parse_device(number) == image.device) return unescape_octal(point);
    while (fields >> word && word != "-") {
    }
    // A server in user space that names the file it has opened, as fuse2fs does.
    if (fields >> type >> source && type.starts_with("fuse") && source.starts_with('/') &&
        identify(unescape_octal(source)) == image)
      return unescape_octal(point);
  }
  return std::nullopt;
}

// In our mount namespace; then in that of every process, each once.
std::optional<Mount> find_mount(const FileIdentity& image) {
  std::set<std::string> seen;
  const auto is_new = [&](const fs::path& process) {
    std::error_code error;
    const std::string name = fs::read_symlink(process / "ns/mnt", error).string();
    return !error && seen.insert(name).second;
  };
  (void)is_new("/proc/self");
  std::ifstream own("/proc/self/mountinfo");
  if (auto point = find_mount(own, image)) return Mount{std::move(*point), false};
  for (const fs::path& process : entries_of("/proc")) {
    const std::string name = process.filename();
    if (!std::ranges::all_of(name, [](char c) { return c >= '0' && c <= '9'; }) || !is_new(process)) continue;
    std::ifstream in(process / "mountinfo");
    if (auto point = find_mount(in, image)) return Mount{std::move(*point), true};
  }
  return std::nullopt;
}

bool is_swap(const FileIdentity& image) {
  std::ifstream in("/proc/swaps");
  std::string line;
  std::getline(in, line);  // the heading
  while (std::getline(in, line)) {
    const std::string path = unescape_octal(line.substr(0, line.find_first_of(" \t")));
    if (path.starts_with('/') && identify(path) == image) return true;
  }
  return false;
}

// Its device's and inode's numbers say what is behind a loop device, whatever became of the path. Where the device cannot
// be opened, the path has to do.
bool is_behind_loop(const FileIdentity& image, const std::string& name, uint64_t number, const std::string& path) {
  const int fd = ::open(("/dev/" + name).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat st;
  loop_info64 info{};
  const bool told = fd >= 0 && ::fstat(fd, &st) == 0 && S_ISBLK(st.st_mode) && st.st_rdev == number &&
                    ::ioctl(fd, LOOP_GET_STATUS64, &info) == 0;
  if (fd >= 0) ::close(fd);
  if (!told) return identify(path) == image;
  // Of a regular file, both are the device that its file system is on.
  if (image.block_device) return info.lo_rdevice == image.device && info.lo_rdevice != info.lo_device;
  return info.lo_device == image.device && info.lo_inode == image.inode;
}

std::vector<Device> loops_over(const FileIdentity& image) {
  std::vector<Device> loops;
  for (const fs::path& entry : entries_of("/sys/block")) {
    const std::string name = entry.filename();
    if (!name.starts_with("loop")) continue;
    const std::string backing = first_line(entry / "loop/backing_file");
    const auto number = parse_device(first_line(entry / "dev"));
    if (!backing.empty() && number && is_behind_loop(image, name, *number, backing)) loops.push_back({*number, "/dev/" + name});
  }
  return loops;
}

std::vector<Device> with_partitions(const Device& device) {
  std::vector<Device> devices{device};
  std::error_code ignored;
  for (const fs::path& entry : entries_of(sysfs_of(device.number)))
    if (fs::exists(entry / "partition", ignored))
      if (const auto number = parse_device(first_line(entry / "dev")))
        devices.push_back({*number, "/dev/" + entry.filename().string()});
  return devices;
}

std::optional<std::string> user_of(const Device& device) {
  const FileIdentity identity{true, device.number, 0};
  if (const auto mount = find_mount(identity)) return fmt::format("it is mounted on {}{}", mount->text(), device.through());
  if (is_swap(identity)) return "it is swap space" + device.through();
  for (const fs::path& holder : entries_of(sysfs_of(device.number) / "holders"))
    return fmt::format("it is a part of /dev/{}{}", holder.filename().string(), device.through());
  return std::nullopt;
}

// QEMU's permissions. Who has opened an image holds a shared lock on byte 100 + N for each that it uses, and on byte
// 200 + N for each that it lets nobody else use: a lock that would be exclusive shows who does.
constexpr off_t kUsed = 100, kNotShared = 200, kLockBytes = 64;
constexpr off_t kConsistentRead = 0, kWrite = 1, kResize = 3;

struct Held {
  off_t at = 0;
  pid_t process = 0;  // 0 or less: not told
};

std::optional<Held> find_lock(int fd, short type, off_t at, off_t length) {
  struct flock lock{};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = at;
  lock.l_len = length;
  if (::fcntl(fd, F_OFD_GETLK, &lock) < 0 || lock.l_type == F_UNLCK) return std::nullopt;
  return Held{lock.l_start, lock.l_pid};
}

std::string describe(const Held& held) {
  const bool qemu =
      (held.at >= kUsed && held.at < kUsed + kLockBytes) || (held.at >= kNotShared && held.at < kNotShared + kLockBytes);
  const std::string process = held.process > 0 ? fmt::format(" (process {})", held.process) : "";
  return (qemu ? "a virtual machine or a tool of QEMU has it open" : "another program holds a lock on it") + process;
}

}  // namespace

std::optional<std::string> find_user(const FileIdentity& image) {
  if (image.block_device) {
    for (const Device& device : with_partitions({image.device, ""}))
      if (auto user = user_of(device)) return user;
  } else {
    if (is_swap(image)) return "it is swap space";
  }
  const std::vector<Device> loops = loops_over(image);
  for (const Device& loop : loops)
    for (const Device& device : with_partitions(loop))
      if (auto user = user_of(device)) return user;
  if (!loops.empty()) return fmt::format("loop device {} is attached to it", loops[0].path);
  if (!image.block_device)
    if (const auto mount = find_mount(image)) return "it is mounted on " + mount->text();
  return std::nullopt;
}

std::optional<std::string> find_lock_holder(int fd, bool only_writers) {
  constexpr off_t kToTheEnd = 0;
  auto held = find_lock(fd, only_writers ? F_RDLCK : F_WRLCK, 0, kToTheEnd);
  if (!held) held = find_lock(fd, F_WRLCK, kUsed + kWrite, 1);
  if (!held) held = find_lock(fd, F_WRLCK, kUsed + kResize, 1);
  if (!held) return std::nullopt;
  return describe(*held);
}

bool take_locks(int fd) {
  for (const off_t byte :
       {kUsed + kConsistentRead, kUsed + kWrite, kNotShared + kConsistentRead, kNotShared + kWrite, kNotShared + kResize}) {
    struct flock lock{};
    lock.l_type = F_RDLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = byte;
    lock.l_len = 1;
    if (::fcntl(fd, F_OFD_SETLK, &lock) < 0 && (errno == EAGAIN || errno == EACCES)) return false;
  }
  return true;
}

}  // namespace extscrub
