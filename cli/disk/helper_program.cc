#include "cli/disk/helper_program.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <span>
#include <sstream>
#include <string_view>
#include <thread>
#include <utility>

namespace extscrub {

namespace {

using namespace std::chrono_literals;

constexpr size_t kMaxSaid = 4096;    // bytes
constexpr size_t kMostFiles = 1200;  // of a helper program
constexpr auto kHelperGrace = 5s;  // between SIGTERM and SIGKILL, where nobody says otherwise

// Both ends above standard error's: this process may have been started with its standard streams closed.
class Pipe {
 public:
  explicit Pipe(int flags = 0) {
    std::array<int, 2> low{-1, -1};
    if (::pipe2(low.data(), O_CLOEXEC | flags) < 0) return;
    for (size_t i = 0; i < 2; ++i) ends_[i] = ::fcntl(low[i], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    for (const int fd : low) ::close(fd);
  }
  ~Pipe() {
    for (const int fd : ends_)
      if (fd >= 0) ::close(fd);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  [[nodiscard]] bool ready() const { return ends_[0] >= 0 && ends_[1] >= 0; }
  [[nodiscard]] int reader() const { return ends_[0]; }
  [[nodiscard]] int writer() const { return ends_[1]; }
  [[nodiscard]] int take_reader() { return std::exchange(ends_[0], -1); }
  void close_writer() { ::close(std::exchange(ends_[1], -1)); }

 private:
  std::array<int, 2> ends_{-1, -1};
};

// Before Linux 5.11 there is no such flag; descriptors that others have opened without O_CLOEXEC are few, and low.
void close_all_on_exec() {
  constexpr unsigned kCloexec = 1U << 2;  // CLOSE_RANGE_CLOEXEC
  if (::syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, kCloexec) == 0) return;
  for (int fd = STDERR_FILENO + 1; fd < 4096; ++fd) (void)::fcntl(fd, F_SETFD, FD_CLOEXEC);
}

void reset_signals() {
  for (int number = 1; number < NSIG; ++number) (void)::signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  (void)::sigprocmask(SIG_SETMASK, &none, nullptr);
}

// Behind all numbers that take_files() gives; where the limit of descriptors is low, as far behind as it goes.
int out_of_the_way(int fd, size_t files) {
  const int high = ::fcntl(fd, F_DUPFD_CLOEXEC, kFirstHelperFile + static_cast<int>(kMostFiles));
  return high >= 0 ? high : ::fcntl(fd, F_DUPFD_CLOEXEC, kFirstHelperFile + static_cast<int>(files));
}

// The listener as descriptor 3, the files behind it; what has one of these numbers now is lost.
bool take_files(const HelperRights& rights) {
  std::array<int, kMostFiles + 1> high{};
  const size_t count = rights.files.size() + 1;
  for (size_t i = 0; i < count; ++i) {
    const int fd = i == 0 ? rights.listener : rights.files[i - 1];
    high[i] = fd < 0 ? -1 : out_of_the_way(fd, count);
    if (fd >= 0 && high[i] < 0) return false;
  }
  for (size_t i = 0; i < count; ++i)
    if (high[i] >= 0 && ::dup2(high[i], kFirstHelperFile - 1 + static_cast<int>(i)) < 0) return false;
  return true;
}

// Behind "LISTEN_PID=", which only the child knows.
void put_number(char* at, pid_t number) {
  std::array<char, 12> digits{};
  size_t count = 0;
  for (; number > 0; number /= 10) digits[count++] = static_cast<char>('0' + number % 10);
  while (count > 0) *at++ = digits[--count];
  *at = '\0';
}

struct NewProgram {
  const char* path;
  char* const* arguments;
  char* const* environment;
  char* listen_pid;  // where its number goes; null: nowhere
};

// `files`: sorted; what else is open gets closed.
void keep_only(std::span<const int> files) {
  unsigned next = 0;
  for (const int fd : files) {
    if (static_cast<unsigned>(fd) > next) (void)::close_range(next, static_cast<unsigned>(fd) - 1, 0);
    next = static_cast<unsigned>(fd) + 1;
  }
  (void)::close_range(next, ~0u, 0);
}

// A process that waits until the program ends, or `parent` does, and then tells the program to end until it has: the
// kernel tells it once, and qemu-nbd drops a SIGTERM that comes between its handler and its main loop. Where it cannot be
// had the kernel's word has to do.
void insist_on_end(pid_t parent) {
  std::array<pollfd, 2> watched{};
  watched[0] = {static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)), POLLIN, 0};
  watched[1] = {static_cast<int>(::syscall(SYS_pidfd_open, parent, 0)), POLLIN, 0};
  const bool both = watched[0].fd >= 0 && watched[1].fd >= 0;
  if (!both || ::fork() != 0) {
    for (const pollfd& process : watched)
      if (process.fd >= 0) ::close(process.fd);
    return;
  }
  (void)::setpgid(0, 0);  // what is said to the program's group is not for it
  (void)!::chdir("/");
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) (void)::signal(number, SIG_IGN);
  std::array<int, 2> files{watched[0].fd, watched[1].fd};
  std::ranges::sort(files);
  keep_only(files);
  while (::poll(watched.data(), watched.size(), -1) < 0 && errno == EINTR) {
  }
  for (int n = 0; watched[0].revents == 0; ++n) {
    (void)::syscall(SYS_pidfd_send_signal, watched[0].fd, SIGTERM, nullptr, 0);
    (void)::poll(watched.data(), 1, n < 100 ? 50 : 1000);
  }
  ::_exit(0);
}

// In the child, where other threads' locks may be held for ever: system calls only. `reports` is told what of the
// sandbox failed, as a negative number; it gets another descriptor. Returns an errno when it fails.
int become(const NewProgram& program, const HelperRights& rights, int errors, int& reports, pid_t parent) {
  (void)::setpgid(0, 0);
  reset_signals();
  insist_on_end(parent);
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) return errno;
  if (null == STDERR_FILENO || null == STDOUT_FILENO || null == STDIN_FILENO) (void)::fcntl(null, F_SETFD, 0);
  if (::dup2(null, STDIN_FILENO) < 0 || ::dup2(null, STDOUT_FILENO) < 0) return errno;
  if (::dup2(errors, STDERR_FILENO) < 0) return errno;
  close_all_on_exec();
  if (program.listen_pid != nullptr) put_number(program.listen_pid, ::getpid());
  if ((reports = out_of_the_way(reports, rights.files.size() + 1)) < 0) return errno;
  if (const unsigned failed = rights.sandbox != nullptr ? rights.sandbox->enter() : 0) {
    const int report = -static_cast<int>(failed);
    (void)!::write(reports, &report, sizeof report);
  }
  if (!take_files(rights)) return errno;
  // A change of user ends what was asked for before.
  if (::prctl(PR_SET_PDEATHSIG, SIGTERM) < 0) return errno;
  if (::getppid() != parent) return ESRCH;  // it ended before it could be told
  ::execve(program.path, program.arguments, program.environment);
  return errno;
}

// 0, or the errno of what came before the program itself. `unprotected`: the bits of Sandbox::enter().
int read_start_error(int fd, unsigned& unprotected) {
  for (;;) {
    int report = 0;
    const ssize_t n = ::read(fd, &report, sizeof report);
    if (n < 0 && errno == EINTR) continue;
    if (n != sizeof report) return 0;
    if (report > 0) return report;
    unprotected |= static_cast<unsigned>(-report);
  }
}

void keep_exit_statuses() {
  struct sigaction action{};
  if (::sigaction(SIGCHLD, nullptr, &action) < 0) return;
  if (action.sa_handler == SIG_IGN || (action.sa_flags & SA_NOCLDWAIT) != 0) (void)::signal(SIGCHLD, SIG_DFL);
}

bool is_program(const std::string& path) {
  struct stat st;
  return ::stat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode) && ::access(path.c_str(), X_OK) == 0;
}

}  // namespace

std::optional<std::string> find_program(const std::string& name) {
  const char* path = std::getenv("PATH");
  std::istringstream folders(std::string(path != nullptr ? path : "") + ":/usr/sbin:/sbin:/usr/bin");
  for (std::string folder; std::getline(folders, folder, ':');) {
    // The current directory may be anybody's.
    if (std::string file = folder + "/" + name; folder.starts_with('/') && is_program(file)) return file;
  }
  return std::nullopt;
}

Result<HelperProgram> HelperProgram::start(const std::vector<std::string>& arguments, const std::string& package,
                                           const HelperRights& rights) {
  const std::string& name = arguments.front();
  const auto path = find_program(name);
  if (!path)
    return std::unexpected(
        Error{fmt::format("needs the program {}, which is not here: install {}", name, package), ErrorKind::refused, ENOENT});
  const auto failed = [&](int error) { return std::unexpected(file_error("cannot start", *path, error)); };
  if (rights.files.size() > kMostFiles) return failed(EMFILE);
  const auto pointers_to = [](std::vector<std::string>& texts) {
    std::vector<char*> pointers;
    for (std::string& text : texts) pointers.push_back(text.data());
    pointers.push_back(nullptr);
    return pointers;
  };
  std::vector<std::string> words = arguments, variables;
  for (char** variable = environ; *variable != nullptr; ++variable)
    if (!std::string_view(*variable).starts_with("LISTEN_")) variables.emplace_back(*variable);
  if (rights.listener >= 0) variables.insert(variables.end(), {"LISTEN_FDS=1", "LISTEN_PID=            "});
  const auto argv = pointers_to(words), envp = pointers_to(variables);
  char* const listen_pid = rights.listener >= 0 ? variables.back().data() + std::strlen("LISTEN_PID=") : nullptr;
  const NewProgram next{path->c_str(), argv.data(), envp.data(), listen_pid};

  // Full, it takes no more, and its writer goes on.
  Pipe errors(O_NONBLOCK), started;
  if (!errors.ready() || !started.ready()) return failed(errno);
  keep_exit_statuses();
  HelperProgram program;
  program.name_ = name;
  const pid_t parent = ::getpid();
  program.pid_ = ::fork();
  if (program.pid_ < 0) return failed(errno);
  if (program.pid_ == 0) {
    int reports = started.writer();
    const int error = become(next, rights, errors.writer(), reports, parent);
    (void)!::write(reports, &error, sizeof error);
    ::_exit(127);
  }
  program.running_ = true;
  program.errors_ = errors.take_reader();
  started.close_writer();
  unsigned unprotected = 0;
  if (const int error = read_start_error(started.reader(), unprotected)) return failed(error);
  if (rights.sandbox != nullptr) program.unprotected_ = rights.sandbox->missing();
  for (std::string& sentence : failures(unprotected)) program.unprotected_.push_back(std::move(sentence));
  return program;
}

HelperProgram::HelperProgram(HelperProgram&& other) noexcept
    : name_(std::move(other.name_)), unprotected_(std::move(other.unprotected_)), pid_(std::exchange(other.pid_, -1)),
      errors_(std::exchange(other.errors_, -1)), running_(std::exchange(other.running_, false)), status_(other.status_),
      said_(std::move(other.said_)) {}

HelperProgram::~HelperProgram() {
  end(kHelperGrace);
  if (errors_ >= 0) ::close(errors_);
}

bool HelperProgram::is_running() {
  if (!running_) return false;
  int status = 0;
  const pid_t ended = ::waitpid(pid_, &status, WNOHANG);
  if (ended == 0 || (ended < 0 && errno == EINTR)) return true;
  running_ = false;
  if (ended == pid_) status_ = status;
  return false;
}

bool HelperProgram::wait(std::chrono::milliseconds time) {
  const auto until = std::chrono::steady_clock::now() + time;
  for (auto pause = 1ms; is_running(); pause = std::min(2 * pause, 50ms)) {
    if (std::chrono::steady_clock::now() >= until) return false;
    std::this_thread::sleep_for(pause);
  }
  return true;
}

void HelperProgram::signal(int number) const {
  if (::kill(-pid_, number) < 0) (void)::kill(pid_, number);
}

void HelperProgram::end(std::chrono::milliseconds time) {
  if (!is_running()) return;
  signal(SIGTERM);
  if (wait(time)) return;
  signal(SIGKILL);
  while (!wait(1h)) {
  }
}

std::string HelperProgram::failure(bool terminated) const {
  if (status_ == -1) return fmt::format("{} ended, and it is not known how", name_);
  if (WIFSIGNALED(status_)) {
    if (terminated && WTERMSIG(status_) == SIGTERM) return {};
    return fmt::format("{} was ended by signal {}", name_, WTERMSIG(status_));
  }
  return WEXITSTATUS(status_) == 0 ? "" : fmt::format("{} ended with exit status {}", name_, WEXITSTATUS(status_));
}

std::string HelperProgram::messages() {
  std::array<char, 4096> bytes{};
  for (;;) {
    const ssize_t n = ::read(errors_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    said_.append(bytes.data(), std::min(static_cast<size_t>(n), kMaxSaid - std::min(kMaxSaid, said_.size())));
  }
  std::string line = said_;
  while (!line.empty() && line.back() == '\n') line.pop_back();
  for (size_t at = 0; (at = line.find('\n', at)) != std::string::npos; at += 2) line.replace(at, 1, "; ");
  return line;
}

namespace {

// Of the process that waits: system calls only. The last byte of `end` is read when all writers are gone.
[[noreturn]] void wait_and_kill(int end, std::span<const int> programs, std::span<const int> files) {
  keep_only(files);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) (void)::signal(number, SIG_IGN);
  char byte = 0;
  while (::read(end, &byte, 1) < 0 && errno == EINTR) {
  }
  for (const int program : programs) (void)::syscall(SYS_pidfd_send_signal, program, SIGKILL, nullptr, 0);
  ::_exit(0);
}

}  // namespace

Result<void> kill_with_us(const std::vector<pid_t>& programs) {
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) < 0) return std::unexpected(system_error("no process to watch the helper programs", errno));
  std::vector<int> handles;
  int error = 0;
  for (const pid_t pid : programs) {
    const int handle = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
    if (handle < 0)
      error = errno;
    else
      handles.push_back(handle);
  }
  std::vector<int> files = handles;
  files.push_back(pipe[0]);
  std::ranges::sort(files);
  if (error == 0) {
    const pid_t watcher = ::fork();
    if (watcher == 0) wait_and_kill(pipe[0], handles, files);
    if (watcher < 0) error = errno;
  }
  for (const int fd : files) ::close(fd);
  if (error == 0) return {};  // the writing end stays open as long as this process is there
  ::close(pipe[1]);
  return std::unexpected(system_error("no process to watch the helper programs", error));
}

}  // namespace extscrub
