#include "cli/virtual_disk.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace extscrub {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

namespace {

constexpr auto kStart = 60s;   // for a helper program to be ready, and to end
constexpr auto kDetach = 10s;  // for the mount to be taken out of the tree

const char* const kServerPackage = "qemu-utils";
const char* const kMounterPackage = "libnbd-bin";

// For the time until the disk is open: a socket and a mount point, in a directory for this user alone.
class Meeting {
 public:
  static Result<Meeting> make() {
    const char* set = std::getenv("TMPDIR");
    std::string name = fs::absolute(set != nullptr && *set != '\0' ? set : "/tmp") / "extscrub-disk-XXXXXX";
    const auto failed = [&] {
      return std::unexpected(
          system_error(fmt::format("cannot make the directory {} (TMPDIR says where)", name), errno));
    };
    if (::mkdtemp(name.data()) == nullptr) return failed();
    Meeting meeting(std::move(name));
    if (::mkdir(meeting.mount_point().c_str(), 0700) < 0) return failed();
    if (meeting.socket().size() >= sizeof(sockaddr_un::sun_path))
      return std::unexpected(Error{fmt::format("{} is too long for the name of a socket; set TMPDIR to a shorter one",
                                               meeting.socket())});
    return meeting;
  }

  Meeting(Meeting&& other) noexcept : directory_(std::exchange(other.directory_, {})) {}
  Meeting& operator=(Meeting&&) = delete;
  ~Meeting() {
    if (directory_.empty()) return;
    ::unlink(socket().c_str());
    ::rmdir(mount_point().c_str());
    ::rmdir(directory_.c_str());
  }

  [[nodiscard]] std::string socket() const { return directory_ + "/nbd"; }
  [[nodiscard]] std::string mount_point() const { return directory_ + "/mnt"; }
  [[nodiscard]] std::string file() const { return mount_point() + "/disk"; }

 private:
  explicit Meeting(std::string directory) : directory_(std::move(directory)) {}
  std::string directory_;
};

// Calls qemu-nbd until it greets: it listens before it has looked at the disk.
class Caller {
 public:
  explicit Caller(std::string socket) : socket_(std::move(socket)) {}
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;
  ~Caller() { hang_up(); }

  [[nodiscard]] bool is_greeted() {
    if (fd_ < 0 && !connect()) return false;
    std::array<char, 8> greeting{};
    const ssize_t n = ::recv(fd_, greeting.data(), greeting.size(), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (n <= 0) hang_up();
    return std::string_view(greeting.data(), greeting.size()) == "NBDMAGIC";
  }

 private:
  bool connect() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, socket_.c_str(), socket_.size());  // Meeting::make() has seen that it fits
    fd_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd_ >= 0 && ::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) hang_up();
    return fd_ >= 0;
  }
  void hang_up() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

  std::string socket_;
  int fd_ = -1;
};

Error with_messages(std::string what, HelperProgram& program) {
  const std::string said = program.messages();
  return Error{said.empty() ? what : fmt::format("{}: {}", what, said)};
}

// Until ready() says so. Errors: the program has ended, or is not ready in time; ECANCELED.
template <typename Ready>
Result<void> wait_for(HelperProgram& program, const std::atomic<bool>* stop, const Ready& ready) {
  const auto until = std::chrono::steady_clock::now() + kStart;
  for (auto pause = 1ms; !ready(); pause = std::min(2 * pause, 50ms)) {
    if (stop != nullptr && stop->load(std::memory_order_relaxed)) return std::unexpected(Error{"cancelled", ECANCELED});
    if (!program.is_running()) return std::unexpected(with_messages("cannot be opened", program));
    if (std::chrono::steady_clock::now() >= until)
      return std::unexpected(with_messages(
          fmt::format("cannot be opened: {} is not ready after {} seconds", program.name(), kStart.count()), program));
    std::this_thread::sleep_for(pause);
  }
  return {};
}

bool takes_direct_io(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_DIRECT);
  if (fd >= 0) ::close(fd);
  return fd >= 0;
}

// A name with a slash first is no option, nor a protocol of qemu ("fat:", "json:").
std::vector<std::string> server_command(const std::string& disk, const std::string& format, const std::string& socket,
                                        bool writable, bool direct) {
  std::vector<std::string> command{"qemu-nbd",     "--format=" + format, "--socket=" + socket,
                                   "--persistent", "--shared=0",         "--detect-zeroes=off"};
  if (!writable) command.emplace_back("--read-only");
  if (writable) command.emplace_back(direct ? "--cache=none" : "--cache=writeback");
  command.push_back(fs::absolute(disk));
  return command;
}

// Error: it has ended with a failure. `terminated`: a SIGTERM is none.
Result<void> outcome_of(HelperProgram& program, bool terminated) {
  const std::string failure = program.failure(terminated);
  if (failure.empty()) return {};
  return std::unexpected(with_messages(failure, program));
}

// Takes the mount out of the tree; it lives on with the files that are open in it. Who may not do that himself asks
// fusermount3, which is there wherever somebody else than root could mount.
Result<void> detach(const std::string& mount_point) {
  if (::umount2(mount_point.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) return {};
  const Error error = system_error(fmt::format("cannot detach {}", mount_point), errno);
  if (error.code != EPERM) return std::unexpected(error);
  auto program = HelperProgram::start({"fusermount3", "-u", "-z", mount_point}, "fuse3");
  if (!program) return std::unexpected(program.error());
  if (!program->wait(kDetach)) return std::unexpected(error);
  return outcome_of(*program, false);
}

}  // namespace

Result<VirtualDisk> VirtualDisk::open(const std::string& name, const ImageKind& kind, bool writable,
                                      const std::atomic<bool>* stop) {
  const auto meeting = Meeting::make();
  if (!meeting) return std::unexpected(meeting.error());
  VirtualDisk disk;  // where this fails it goes first, and leaves the directory empty
  std::vector<std::string> mount{"nbdfuse", meeting->file()};
  if (!writable) mount.emplace(mount.begin() + 1, "-r");
  if (kind.form == ImageForm::nbd) {
    mount.push_back(name);
  } else {
    disk.direct_ = !writable || takes_direct_io(name);
    auto server = HelperProgram::start(server_command(name, kind.format, meeting->socket(), writable, disk.direct_),
                                       kServerPackage);
    if (!server) return std::unexpected(server.error());
    disk.server_.emplace(std::move(*server));
    Caller caller(meeting->socket());
    if (auto ready = wait_for(*disk.server_, stop, [&] { return caller.is_greeted(); }); !ready)
      return std::unexpected(ready.error());
    mount.insert(mount.end(), {"--unix", meeting->socket()});
  }

  auto mounter = HelperProgram::start(mount, kMounterPackage);
  if (!mounter) return std::unexpected(mounter.error());
  disk.mounter_.emplace(std::move(*mounter));
  bool refused = false;
  const auto is_open = [&] {
    disk.fd_ = ::open(meeting->file().c_str(), (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    refused = disk.fd_ < 0 && (errno == EACCES || errno == EROFS);
    return disk.fd_ >= 0 || refused;
  };
  if (auto ready = wait_for(*disk.mounter_, stop, is_open); !ready) {
    if (!disk.server_ || disk.server_->is_running()) return std::unexpected(ready.error());
    return std::unexpected(with_messages("cannot be opened", *disk.server_));  // the one that knows why
  }
  // Open or not, nobody is to find it in the tree.
  if (auto detached = detach(meeting->mount_point()); !detached) return std::unexpected(detached.error());
  if (refused) return std::unexpected(Error{"cannot be opened for writing: the server has it for reading only", EROFS});
  return disk;
}

VirtualDisk::VirtualDisk(VirtualDisk&& other) noexcept
    : server_(std::exchange(other.server_, std::nullopt)),
      mounter_(std::exchange(other.mounter_, std::nullopt)),
      fd_(std::exchange(other.fd_, -1)),
      direct_(other.direct_) {}

VirtualDisk::~VirtualDisk() { (void)close(); }

std::string VirtualDisk::path() const { return fmt::format("/proc/self/fd/{}", fd_); }

Result<void> VirtualDisk::close() {
  Result<void> result;
  const bool was_open = fd_ >= 0;
  if (was_open) ::close(std::exchange(fd_, -1));
  if (mounter_) {
    // With its last descriptor the mount is gone, and nbdfuse with it. One that never got as far is told to end.
    const bool ended = mounter_->wait(was_open ? kStart : 0s);
    if (!ended) result = std::unexpected(Error{fmt::format("{} had to be stopped", mounter_->name())});
    mounter_->end(kDetach);
    if (ended) result = outcome_of(*mounter_, false);
    mounter_.reset();
  }
  if (server_) {
    server_->end(kStart);
    if (auto ended = outcome_of(*server_, true); !ended && result) result = ended;
    server_.reset();
  }
  return result;
}

}  // namespace extscrub
