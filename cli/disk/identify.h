// What else an image may hold, by libblkid: another file system, a volume of some kind, a partition table.
// It reads through the image's own descriptor and moves its file offset: one thread at a time.
#pragma once

#include <optional>
#include <string>

#include "cli/disk/partition_table.h"
#include "scan/image/image.h"

namespace extscrub {

// Whether the primary superblock's place has the magic number of ext2/3/4.
[[nodiscard]] bool has_ext_magic(const Image& image);

// What libblkid makes of an image, ext2/3/4 left out.
struct Contents {
  std::string type, usage;  // as "crypto_LUKS", "crypto"; empty: nothing known, or several things
  bool ambiguous = false;   // several things at once
  [[nodiscard]] bool is_nothing() const { return type.empty() && !ambiguous; }
};

[[nodiscard]] Contents contents_of(const Image& image);

// "holds encrypted data (crypto_LUKS)", "holds nothing that is known".
[[nodiscard]] std::string describe(const Contents& contents);

// "holds an xfs file system, not ext2/3/4"; nothing when there is an ext2/3/4 magic number, or nothing that libblkid
// knows. To be asked before the audit looks for backup superblocks, which an earlier file system may have left behind.
[[nodiscard]] std::optional<std::string> foreign_file_system(const Image& image);

// The image's partition table; nothing when there is none. The boot sector in front of an ext4 may look like one too: what
// it names need not be there.
[[nodiscard]] std::optional<PartitionTable> find_partitions(const Image& image, size_t most = kMostPartitions);

// "holds a gpt partition table, not ext2/3/4; its partitions begin at --offset 1048576 (partition 1), ...".
[[nodiscard]] std::string describe(const PartitionTable& table);

}  // namespace extscrub
