// In which wave of a commit in place each staged block goes out, from what the image used before any repair.
// Pure: any thread.
#pragma once

#include <span>
#include <vector>

#include "scan/image/overlay.h"
#include "scan/image/write_wave.h"
#include "scan/inodes/inode_scan.h"

namespace extscrub {

// What the image used before the first repair.
struct UsedBefore {
  GroupBits claims;         // clusters that something used
  GroupBits claimed_again;  // clusters that more than one did
};

// One for each of `staged`. `fs`: the file system as the repairs leave it.
[[nodiscard]] std::vector<WriteWave> write_waves(const FileSystem& fs, const UsedBefore& before,
                                                 std::span<const StagedBlock> staged);

}  // namespace extscrub
