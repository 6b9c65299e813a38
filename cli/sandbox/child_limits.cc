#include "cli/sandbox/child_limits.h"

#include <sys/resource.h>
#include <sys/sysinfo.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <thread>

#include "cli/sandbox/sanitized.h"

namespace extscrub {

namespace {

namespace fs = std::filesystem;

// The least memory.max of the control group (version 2) and all above it.
uint64_t memory_of_control_group() {
  uint64_t least = std::numeric_limits<uint64_t>::max();
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    if (!line.starts_with("0::/")) continue;
    for (fs::path group = line.substr(4);; group = group.parent_path()) {
      uint64_t bytes = 0;
      if (std::ifstream("/sys/fs/cgroup" / group / "memory.max") >> bytes) least = std::min(least, bytes);
      if (group.empty()) break;
    }
  }
  return least;
}

void set_limit(int resource, uint64_t limit) {
  struct rlimit now{};
  if (::getrlimit(static_cast<__rlimit_resource>(resource), &now) != 0) return;
  now.rlim_max = std::min<rlim_t>(now.rlim_max, limit);
  now.rlim_cur = std::min<rlim_t>(now.rlim_cur, now.rlim_max);
  ::setrlimit(static_cast<__rlimit_resource>(resource), &now);
}

}  // namespace

uint64_t memory_there_is() {
  struct sysinfo machine{};
  if (::sysinfo(&machine) != 0) return 0;
  const uint64_t bytes = (uint64_t{machine.totalram} + machine.totalswap) * machine.mem_unit;
  return std::min(bytes, memory_of_control_group());
}

void set_limits(const ChildLimits& limits) {
  set_limit(RLIMIT_CORE, 0);
  // A sanitizer's shadow of all addresses would count as memory too.
  if (limits.memory > 0 && !kSanitized) set_limit(RLIMIT_DATA, limits.memory);
  if (limits.time.count() == 0) return;
  // The clock is watched by the run; this is for a run that is stopped itself.
  const uint64_t threads = limits.jobs > 0 ? limits.jobs : std::max(1U, std::thread::hardware_concurrency());
  constexpr uint64_t kMore = 60;  // seconds
  set_limit(RLIMIT_CPU, threads * (static_cast<uint64_t>(limits.time.count()) / 1000 + kMore));
}

}  // namespace extscrub
