// Multiple-mount protection: whether another host uses the file system, and the block by which a commit says that it
// does. Who uses one counts up a number in that block, or writes there that it checks it; so who finds a number waits and
// looks again, as the kernel and e2fsck do.
// Stateless: any thread.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "scan/format/types.h"
#include "scan/image/image.h"

namespace extscrub {

// The block, for a commit that is going to keep others away with it.
struct MmpClaim {
  BlockNo block;
  std::vector<std::byte> before;           // as it is on the device
  std::optional<uint32_t> checksum_seed;   // with metadata_csum
};

// While the block stands for "at rest", for "being checked by us", or as the device has it.
[[nodiscard]] std::vector<std::byte> mmp_at_rest(const MmpClaim& claim);
[[nodiscard]] std::vector<std::byte> mmp_in_hand(const MmpClaim& claim, uint64_t now);

enum class MmpUse : uint8_t {
  none,       // no multiple-mount protection, or at rest
  abandoned,  // its user has not counted on for as long as it would have had to, or was an earlier scrub that was killed
  damaged,    // no such block, or one that nobody can go by
  in_use,
  cancelled,
};

struct MmpAnswer {
  MmpUse use = MmpUse::none;
  std::string who;                 // "mounted by HOST (DEVICE)", "being checked by HOST (DEVICE)"
  bool is_check = false;           // who uses it says that it checks it, and does not count
  std::optional<MmpClaim> claim;   // where there is a sound block
};

struct MmpWatch {
  std::function<bool(std::chrono::milliseconds)> wait;  // false: the run is to stop
  std::function<void(const std::string& who, std::chrono::seconds)> tell;  // for whom it is going to wait, and how long
};

// Reads the block past every cache, twice where it has to. `superblock`, `block_size`: as for the audit.
// `watch` null: what cannot be told without waiting is in_use.
[[nodiscard]] MmpAnswer look_at_mmp(const Image& image, std::optional<uint64_t> superblock, std::optional<uint32_t> block_size,
                                    const MmpWatch* watch);

}  // namespace extscrub
