// What a process that does one image may take. Reads the machine's and the control group's memory.
#pragma once

#include <chrono>
#include <cstdint>

namespace extscrub {

struct ChildLimits {
  uint64_t memory = 0;                // bytes of data (RLIMIT_DATA); 0: no limit
  std::chrono::milliseconds time{0};  // for one image, by the clock; 0: no limit
  unsigned jobs = 0;                  // threads that may use processor time; 0: as many as the machine has
};

// What there is to share: memory and swap space of the machine, or what the control group may have of it. 0: not known.
[[nodiscard]] uint64_t memory_there_is();

// For the calling process, for good. No core is dumped: it would hold the image's contents.
void set_limits(const ChildLimits& limits);

}  // namespace extscrub
