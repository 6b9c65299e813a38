// The file systems an image stands for: the whole file or device, or the partitions of a disk. Each call opens the image
// for itself, read-only: any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/options/options.h"
#include "scan/format/error.h"

namespace extscrub {

struct Target {
  int partition = 0;                    // 0: all of the image
  uint64_t offset = 0;                  // bytes; where the file system begins
  std::optional<uint64_t> length = {};  // bytes it may have; nothing: all up to the image's end
  std::string type = {};                // of the partition, for a reader
  std::string holds = {};               // in place of ext2/3/4, as libblkid calls it; empty: nothing known
  std::string not_audited = {};         // why it is not to be audited, a sentence without a subject; empty: it is
  std::vector<std::string> warnings = {};
  int exit_status = 0;                  // what it adds to the exit status, whatever the audit says
};

// All partitions of a disk in the table's order, or the one that --partition asks for, whatever it holds: each is to be
// audited, or says why not. Behind them there may be the whole disk, with what else is to be said of it. An image without a
// partition table is one target; so is one that cannot be opened: who opens it says why. --offset says where to look.
// Errors: there is no such partition; a table that cannot be read; --superblock counts in a disk that has partitions.
[[nodiscard]] Result<std::vector<Target>> find_targets(const std::string& path, const Options& options);

}  // namespace extscrub
