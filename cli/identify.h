// What else an image may hold, by libblkid: another file system, a volume of some kind, a partition table.
// It reads through the image's own descriptor and moves its file offset: one thread at a time.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "scan/image.h"

namespace extscrub {

// Whether the primary superblock's place has the magic number of ext2/3/4.
[[nodiscard]] bool has_ext_magic(const Image& image);

// "holds an xfs file system, not ext2/3/4"; nothing when there is an ext2/3/4 magic number, or nothing that libblkid
// knows. To be asked before the audit looks for backup superblocks, which an earlier file system may have left behind.
[[nodiscard]] std::optional<std::string> foreign_file_system(const Image& image);

struct Partition {
  int number = 0;
  uint64_t offset = 0, length = 0;  // bytes of the image
};

struct PartitionTable {
  std::string type;  // "gpt", "dos", ...
  std::vector<Partition> partitions;
};

// Nothing when there is none, or an ext2/3/4 magic number. The boot sector in front of a damaged ext4 looks like a table
// too: what it names need not be there.
[[nodiscard]] std::optional<PartitionTable> find_partitions(const Image& image);

// "holds a gpt partition table, not ext2/3/4; its partitions begin at --offset 1048576 (partition 1), ...".
[[nodiscard]] std::string describe(const PartitionTable& table);

// Whether there is an ext2/3/4 superblock to go by, the primary one or a backup, and nothing else that libblkid knows.
[[nodiscard]] bool holds_ext(const Image& image);

}  // namespace extscrub
