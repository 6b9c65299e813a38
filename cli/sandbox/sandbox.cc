#include "cli/sandbox/sandbox.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace extscrub {

namespace {

constexpr uid_t kNobody = 65534;

// Landlock as of version 7 of its interface; the headers of Debian 12 have version 2.
struct LandlockRuleset {
  uint64_t files, network, scopes;
};
constexpr uint64_t kExecute = LANDLOCK_ACCESS_FS_EXECUTE, kWriteFile = LANDLOCK_ACCESS_FS_WRITE_FILE,
                   kReadFile = LANDLOCK_ACCESS_FS_READ_FILE, kReadDirectory = LANDLOCK_ACCESS_FS_READ_DIR;
constexpr uint64_t kRemoveFile = LANDLOCK_ACCESS_FS_REMOVE_FILE, kMakeFile = LANDLOCK_ACCESS_FS_MAKE_REG;
constexpr uint64_t kTruncate = 1U << 14, kDeviceControl = 1U << 15;
constexpr uint64_t kOfFiles = kExecute | kWriteFile | kReadFile | kTruncate | kDeviceControl;
constexpr std::array<uint64_t, 6> kAllOfVersion = {0, 0x1fff, 0x3fff, 0x7fff, 0x7fff, 0xffff};
constexpr uint64_t kTcp = 3, kAllScopes = 3;  // bind and connect; abstract sockets and signals
constexpr long kTcpSince = 4, kScopesSince = 6;

constexpr uint64_t bit_of(int capability) { return uint64_t{1} << capability; }
constexpr uint64_t kReadAnyFile = bit_of(CAP_DAC_READ_SEARCH), kOpenAnyFile = bit_of(CAP_DAC_OVERRIDE);

constexpr unsigned kNoNewPrivileges = 1, kLandlock = 2, kSeccomp = 4, kIdentity = 8, kNamespaces = 16, kCapabilities = 32;

long landlock_version() { return ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION); }

void allow(int ruleset, uint64_t handled, const std::string& path, uint64_t access) {
  const int fd = ::open(path.c_str(), O_PATH | O_CLOEXEC);
  if (fd < 0) return;
  struct stat st{};
  const bool known = ::fstat(fd, &st) == 0;
  landlock_path_beneath_attr rule{};
  rule.allowed_access = access & handled & (known && S_ISDIR(st.st_mode) ? ~uint64_t{0} : kOfFiles);
  rule.parent_fd = fd;
  (void)::syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
  ::close(fd);
}

bool write_all(const char* path, const char* text, size_t size) noexcept {
  const int fd = ::open(path, O_WRONLY | O_CLOEXEC);
  const bool written = fd >= 0 && ::write(fd, text, size) == static_cast<ssize_t>(size);
  if (fd >= 0) ::close(fd);
  return written;
}

// Of this user alone, under the number he has outside: "1000 1000 1".
bool map_user(const char* path, uid_t id) noexcept {
  std::array<char, 32> text{};
  size_t at = text.size();
  text[--at] = '1';
  for (int copy = 0; copy < 2; ++copy) {
    text[--at] = ' ';
    for (uid_t rest = id;; rest /= 10) {
      text[--at] = static_cast<char>('0' + rest % 10);
      if (rest < 10) break;
    }
  }
  return write_all(path, text.data() + at, text.size() - at);
}

// As root without one for users: nobody has no rights that one could take from him.
unsigned leave_namespaces(bool network) noexcept {
  const int kinds = CLONE_NEWIPC | (network ? CLONE_NEWNET : 0);
  if (::geteuid() == 0) return ::unshare(kinds) == 0 ? 0 : kNamespaces;
  const uid_t user = ::geteuid();
  const gid_t group = ::getegid();
  if (::unshare(CLONE_NEWUSER | kinds) < 0) return kNamespaces;
  const bool mapped = map_user("/proc/self/uid_map", user) && write_all("/proc/self/setgroups", "deny", 4) &&
                      map_user("/proc/self/gid_map", group);
  return mapped ? 0 : kNamespaces;
}

// The raw calls: those of the C library ask all threads to follow, and there are none. Capabilities stay until they are
// taken one by one.
unsigned become_nobody() noexcept {
  if (::prctl(PR_SET_KEEPCAPS, 1) < 0) return kIdentity;
  if (::syscall(SYS_setgroups, 0, nullptr) < 0 || ::syscall(SYS_setresgid, kNobody, kNobody, kNobody) < 0 ||
      ::syscall(SYS_setresuid, kNobody, kNobody, kNobody) < 0)
    return kIdentity;
  return 0;
}

// `kept` of those that it has, for programs that it becomes as well.
unsigned keep_capabilities(uint64_t kept) noexcept {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> sets{};
  if (::syscall(SYS_capget, &header, sets.data()) < 0) return kCapabilities;
  for (size_t i = 0; i < sets.size(); ++i) {
    const auto some = static_cast<uint32_t>(kept >> (32 * i)) & sets[i].permitted;
    sets[i] = {some, some, some};
  }
  if (::syscall(SYS_capset, &header, sets.data()) < 0) return kCapabilities;
  (void)::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  for (const int one : {CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH})
    if ((kept & bit_of(one)) != 0) (void)::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, one, 0, 0);
  return 0;
}

}  // namespace

Sandbox::Sandbox(const SandboxRules& rules)
    : nobody_(rules.own_identity && ::geteuid() == 0), own_namespaces_(rules.own_identity || rules.mounts),
      own_network_(!rules.calls.network), left_alone_(rules.mounts && ::geteuid() != 0) {
  if (left_alone_) {
    missing_.emplace_back("a program that mounts as another user than root keeps this user's rights");
    return;
  }
  if (!rules.read.empty() || !rules.execute.empty()) capabilities_ |= kReadAnyFile;
  if (!rules.write.empty() || rules.mounts) capabilities_ |= kOpenAnyFile;
  if (rules.mounts) capabilities_ |= bit_of(CAP_SYS_ADMIN);
  CallFilterRules calls = rules.calls;
  calls.execute = !rules.execute.empty();
  calls.mount = rules.mounts;
  filter_ = call_filter(calls);
  // A kernel that has them says EFAULT: there is no filter at this address.
  if (filter_.empty() || (::prctl(PR_SET_SECCOMP, 2 /* SECCOMP_MODE_FILTER */, nullptr) < 0 && errno == EINVAL)) {
    filter_.clear();
    missing_.emplace_back("there is no seccomp filter for this kernel: system calls are not restricted");
  }
  if (!rules.mounts) prepare_landlock(rules);
}

void Sandbox::prepare_landlock(const SandboxRules& rules) {
  const long version = landlock_version();
  if (version < 1) {
    missing_.emplace_back("this kernel has no landlock, or it is not switched on: other files may be opened");
    return;
  }
  LandlockRuleset attributes{kAllOfVersion[std::min<size_t>(static_cast<size_t>(version), kAllOfVersion.size() - 1)],
                             version >= kTcpSince && !rules.calls.network ? kTcp : 0, version >= kScopesSince ? kAllScopes : 0};
  const size_t size = version >= kScopesSince ? sizeof attributes : version >= kTcpSince ? 16 : 8;
  ruleset_ = static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, size, 0));
  if (ruleset_ < 0) {
    missing_.push_back(fmt::format("landlock refuses its rules ({}): other files may be opened", std::strerror(errno)));
    return;
  }
  const uint64_t read = kReadFile | kReadDirectory | kDeviceControl;
  for (const auto& path : rules.read) allow(ruleset_, attributes.files, path, read);
  for (const auto& path : rules.execute) allow(ruleset_, attributes.files, path, kReadFile | kReadDirectory | kExecute);
  for (const auto& path : rules.write)
    allow(ruleset_, attributes.files, path, read | kWriteFile | kTruncate | kMakeFile | kRemoveFile);
}

Sandbox::Sandbox(Sandbox&& other) noexcept
    : missing_(std::move(other.missing_)), filter_(std::move(other.filter_)), ruleset_(std::exchange(other.ruleset_, -1)),
      capabilities_(other.capabilities_), nobody_(other.nobody_), own_namespaces_(other.own_namespaces_),
      own_network_(other.own_network_), left_alone_(other.left_alone_) {}

Sandbox::~Sandbox() {
  if (ruleset_ >= 0) ::close(ruleset_);
}

unsigned Sandbox::enter() const noexcept {
  if (left_alone_) return 0;
  unsigned failed = 0;
  const bool root = ::geteuid() == 0;
  if (own_namespaces_) failed |= leave_namespaces(own_network_);
  if (nobody_) failed |= become_nobody();
  // Landlock and seccomp ask for this where CAP_SYS_ADMIN is not there any more.
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) failed |= kNoNewPrivileges;
  failed |= keep_capabilities(root ? capabilities_ : 0);
  if (ruleset_ >= 0 && ::syscall(SYS_landlock_restrict_self, ruleset_, 0) < 0) failed |= kLandlock;
  if (!filter_.empty() && apply_call_filter(filter_) != 0) failed |= kSeccomp;
  return failed;
}

std::vector<std::string> failures(unsigned bits) {
  constexpr std::pair<unsigned, const char*> kSentences[] = {
      {kNoNewPrivileges, "no_new_privs was refused: programs with more rights can be started"},
      {kLandlock, "landlock was refused: other files may be opened"},
      {kSeccomp, "the seccomp filter was refused: system calls are not restricted"},
      {kIdentity, "it runs as this user: changing to the user nobody was refused"},
      {kNamespaces, "name spaces of its own were refused: it shares the network of this machine"},
      {kCapabilities, "it keeps the capabilities of this process"}};
  std::vector<std::string> sentences;
  for (const auto& [bit, sentence] : kSentences)
    if ((bits & bit) != 0) sentences.emplace_back(sentence);
  return sentences;
}

std::vector<std::string> enter_sandbox(const SandboxRules& rules) {
  const Sandbox sandbox(rules);
  std::vector<std::string> missing = sandbox.missing();
  for (std::string& sentence : failures(sandbox.enter())) missing.push_back(std::move(sentence));
  return missing;
}

}  // namespace extscrub
