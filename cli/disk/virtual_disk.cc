#include "cli/disk/virtual_disk.h"

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

#include "cli/disk/disk_chain.h"
#include "cli/sandbox/sandbox.h"

namespace extscrub {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

namespace {

constexpr auto kStart = 60s;   // for a helper program to be ready, and to end
constexpr auto kDetach = 10s;  // for the mount to be taken out of the tree

const char* const kServerPackage = "qemu-utils";
const char* const kMounterPackage = "libnbd-bin";

sockaddr_un address_of(const std::string& socket) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, socket.c_str(), socket.size());  // Meeting::make() has seen that it fits
  return address;
}

}  // namespace

// For the time until the disk is open: a socket and a mount point, in a directory for this user alone.
class Meeting {
 public:
  static Result<Meeting> make() {
    const char* set = std::getenv("TMPDIR");
    std::string name = fs::absolute(set != nullptr && *set != '\0' ? set : "/tmp") / "extscrub-disk-XXXXXX";
    const auto failed = [&] {
      return std::unexpected(system_error(fmt::format("cannot make the directory {} (TMPDIR says where)", name), errno));
    };
    if (::mkdtemp(name.data()) == nullptr) return failed();
    Meeting meeting(std::move(name));
    if (::mkdir(meeting.mount_point().c_str(), 0700) < 0) return failed();
    if (meeting.socket().size() >= sizeof(sockaddr_un::sun_path))
      return std::unexpected(
          Error{fmt::format("{} is too long for the name of a socket; set TMPDIR to a shorter one", meeting.socket())});
    if (!meeting.listen()) return failed();
    return meeting;
  }

  Meeting(Meeting&& other) noexcept
      : directory_(std::exchange(other.directory_, {})), listener_(std::exchange(other.listener_, -1)) {}
  Meeting& operator=(Meeting&&) = delete;
  ~Meeting() {
    if (listener_ >= 0) ::close(listener_);
    if (directory_.empty()) return;
    ::unlink(socket().c_str());
    ::rmdir(mount_point().c_str());
    ::rmdir(directory_.c_str());
  }

  [[nodiscard]] const std::string& directory() const { return directory_; }
  [[nodiscard]] int listener() const { return listener_; }
  [[nodiscard]] std::string socket() const { return directory_ + "/nbd"; }
  [[nodiscard]] std::string mount_point() const { return directory_ + "/mnt"; }
  [[nodiscard]] std::string file() const { return mount_point() + "/disk"; }

 private:
  explicit Meeting(std::string directory) : directory_(std::move(directory)) {}

  [[nodiscard]] bool listen() {
    const sockaddr_un address = address_of(socket());
    listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return listener_ >= 0 && ::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
           ::listen(listener_, 16) == 0;
  }

  std::string directory_;
  int listener_ = -1;
};

namespace {

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
    const sockaddr_un address = address_of(socket_);
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

// Until ready() says so. Errors: the program has ended, or is not ready in time; cancelled.
template <typename Ready>
Result<void> wait_for(HelperProgram& program, const std::atomic<bool>* stop, const Ready& ready) {
  const auto until = std::chrono::steady_clock::now() + kStart;
  for (auto pause = 1ms; !ready(); pause = std::min(2 * pause, 50ms)) {
    if (stop != nullptr && stop->load(std::memory_order_relaxed)) return std::unexpected(Error::cancelled());
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

std::vector<std::string> server_command(const std::string& disk, bool writable, bool direct) {
  std::vector<std::string> command{"qemu-nbd", "--persistent", "--shared=0", "--detect-zeroes=off"};
  if (!writable) command.emplace_back("--read-only");
  if (writable) command.emplace_back(direct ? "--cache=none" : "--cache=writeback");
  command.push_back(disk);
  return command;
}

// What a program needs to start: libraries and what they look at. Wherever it is itself, scripts included.
SandboxRules rules_for(const std::string& program) {
  SandboxRules rules;
  rules.execute = {"/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32", find_program(program).value_or("")};
  rules.read = {"/etc/ld.so.cache", "/etc/ld.so.preload", "/etc/localtime", "/dev/urandom", "/sys/devices/system/cpu"};
  rules.write = {"/dev/null"};
  rules.calls.io_uring = false;
  return rules;
}

Sandbox server_sandbox(const DiskChain& chain) {
  SandboxRules rules = rules_for("qemu-nbd");
  rules.own_identity = true;
  rules.calls.unix_sockets = true;  // made, but it has none to connect to
  for (const auto& [fd, writable] : chain.files())
    (writable ? rules.write : rules.read).push_back(fmt::format("/proc/self/fd/{}", fd));
  return Sandbox(rules);
}

// `uri`: of the operator's server; empty: for the socket of ours.
Sandbox mounter_sandbox(const std::string& uri) {
  SandboxRules rules = rules_for("nbdfuse");
  rules.mounts = true;
  rules.calls.unix_sockets = true;
  rules.calls.network = uri.starts_with("nbd:") || uri.starts_with("nbds:");
  return Sandbox(rules);
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

void VirtualDisk::note(const HelperProgram& program) {
  for (const std::string& sentence : program.unprotected())
    unprotected_.push_back(fmt::format("{}: {}", program.name(), sentence));
}

Result<void> VirtualDisk::serve(const std::string& name, const std::string& format, bool writable, bool follow,
                                const Meeting& meeting, const std::atomic<bool>* stop) {
  auto chain = DiskChain::open(name, format, writable, follow);
  if (!chain) return std::unexpected(chain.error());
  const auto disk = chain->qemu_name(kFirstHelperFile, meeting.directory());
  if (!disk) return std::unexpected(disk.error());
  direct_ = !writable || takes_direct_io(fmt::format("/proc/self/fd/{}", chain->files().front().fd));
  const Sandbox sandbox = server_sandbox(*chain);
  HelperRights rights{.sandbox = &sandbox, .listener = meeting.listener()};
  for (const auto& file : chain->files()) rights.files.push_back(file.fd);
  auto server = HelperProgram::start(server_command(*disk, writable, direct_), kServerPackage, rights);
  if (!server) return std::unexpected(server.error());
  note(*server);
  server_.emplace(std::move(*server));
  Caller caller(meeting.socket());
  return wait_for(*server_, stop, [&] { return caller.is_greeted(); });
}

Result<VirtualDisk> VirtualDisk::open(const std::string& name, const ImageKind& kind, bool writable, bool follow,
                                      const std::atomic<bool>* stop) {
  const auto meeting = Meeting::make();
  if (!meeting) return std::unexpected(meeting.error());
  VirtualDisk disk;  // where this fails it goes first, and leaves the directory empty
  std::vector<std::string> mount{"nbdfuse", meeting->file()};
  if (!writable) mount.emplace(mount.begin() + 1, "-r");
  const bool is_uri = kind.form == ImageForm::nbd;
  if (is_uri) {
    mount.push_back(name);
  } else {
    if (auto served = disk.serve(name, kind.format, writable, follow, *meeting, stop); !served)
      return std::unexpected(served.error());
    mount.insert(mount.end(), {"--unix", meeting->socket()});
  }

  const Sandbox sandbox = mounter_sandbox(is_uri ? name : "");
  auto mounter = HelperProgram::start(mount, kMounterPackage, {.sandbox = &sandbox});
  if (!mounter) return std::unexpected(mounter.error());
  disk.note(*mounter);
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
  if (refused) return std::unexpected(Error{"cannot be opened for writing: the server has it for reading only"});
  return disk;
}

VirtualDisk::VirtualDisk(VirtualDisk&& other) noexcept
    : server_(std::exchange(other.server_, std::nullopt)), mounter_(std::exchange(other.mounter_, std::nullopt)),
      unprotected_(std::move(other.unprotected_)), fd_(std::exchange(other.fd_, -1)), direct_(other.direct_), left_(other.left_) {
}

VirtualDisk::~VirtualDisk() { (void)close(); }

std::string VirtualDisk::path() const { return fmt::format("/proc/self/fd/{}", fd_); }

Result<void> VirtualDisk::leave_programs() {
  std::vector<pid_t> pids;
  for (const auto* program : {&server_, &mounter_})
    if (*program) pids.push_back((*program)->pid());
  auto watched = kill_with_us(pids);
  left_ = watched.has_value();
  return watched;
}

Result<void> VirtualDisk::close() {
  Result<void> result;
  const bool was_open = fd_ >= 0;
  if (was_open) ::close(std::exchange(fd_, -1));
  if (mounter_) {
    // With its last descriptor the mount is gone, and nbdfuse with it. One that never got as far is told to end.
    const bool ended = mounter_->wait(was_open ? kStart : 0s);
    if (!ended && left_) mounter_->leave();
    if (!ended) result = std::unexpected(Error{fmt::format("{} had to be stopped", mounter_->name())});
    mounter_->end(kDetach);
    if (ended) result = outcome_of(*mounter_, false);
    mounter_.reset();
  }
  if (server_ && left_) {
    server_->leave();
    server_.reset();
  }
  if (server_) {
    server_->end(kStart);
    if (auto ended = outcome_of(*server_, true); !ended && result) result = ended;
    server_.reset();
  }
  return result;
}

}  // namespace extscrub
