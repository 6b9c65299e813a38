// The file systems an image stands for: the whole file or device, or the partitions of a disk. Each call opens the image
// for itself, read-only: any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/options.h"
#include "scan/error.h"

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

// The ext file systems of a partitioned disk in the table's order, or the one partition that --partition asks for,
// whatever it holds. An image without a partition table, or without an ext file system in any partition, is one target;
// so is one that cannot be opened: who opens it says why. --offset and --superblock say where to look already.
// Errors: there is no such partition.
[[nodiscard]] Result<std::vector<Target>> find_targets(const std::string& path, const Options& options);

}  // namespace extscrub
