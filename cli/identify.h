// What else an image may hold, by libblkid: another file system, a volume of some kind, a partition table.
// Each call opens the image for itself, read-only: any thread.
#pragma once

#include <optional>
#include <string>

#include "scan/image.h"

namespace extscrub {

// "holds an xfs file system, not ext2/3/4"; nothing when there is an ext2/3/4 magic number, or nothing that libblkid
// knows. To be asked before the audit looks for backup superblocks, which an earlier file system may have left behind.
[[nodiscard]] std::optional<std::string> foreign_file_system(const Image& image);

// "holds a gpt partition table; a partition's file system is reached with --offset: 1048576 (partition 1), ...";
// nothing when there is none, or an ext2/3/4 magic number. To be asked only when the audit found nothing to go by: the
// boot sector in front of a damaged ext4 looks like a table too.
[[nodiscard]] std::optional<std::string> partition_table(const Image& image);

}  // namespace extscrub
