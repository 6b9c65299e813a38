// The block of multiple-mount protection: one structure, in which whoever uses the file system counts on.
// Stateless: any thread.
#pragma once

#include <string>

#include "scan/filesystem/file_system.h"

namespace extscrub {

struct MmpFacts {
  bool located = true;  // s_mmp_block lies inside the file system
  bool readable = true;
  bool checksum_ok = true;  // or no checksum is kept
  uint32_t checksum_expected = 0;
  mmp_struct block{};
};

// The feature mmp must be on.
[[nodiscard]] MmpFacts read_mmp(const FileSystem& fs);

}  // namespace extscrub
