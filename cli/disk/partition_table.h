// The partition tables that Linux disks have, GPT and MBR with its logical partitions, read as far as they can be: a cut
// disk, a missing backup and a chain that breaks off are told of, and do not hide what can still be seen. What is read is
// bounded, whatever the image says. Reads through the image only: any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "cli/disk/partition_type.h"
#include "scan/image/image.h"

namespace extscrub {

struct Partition {
  int number = 0;
  uint64_t offset = 0, length = 0;  // bytes of the image, as the table says; it may end behind the image
  PartitionType type = {};
  std::string refused = {};  // why nobody should go by it, a sentence without a subject: "overlaps partition 2"
};

struct PartitionTable {
  std::string type;  // "gpt", "dos"; or what libblkid calls another
  std::vector<Partition> partitions;
  bool has_more = false;              // than the caller wants to see
  std::vector<std::string> defects;   // what is wrong with the table and hides no partition, sentences
  std::vector<std::string> hidden;    // why there may be partitions that are not seen, sentences
};

inline constexpr size_t kMostPartitions = 256;

// Nothing where there is no GPT and no MBR with a partition. A GPT that is announced and cannot be read is a table without
// partitions. `sector`: bytes of the units in which an MBR counts.
[[nodiscard]] std::optional<PartitionTable> read_partition_table(const Image& disk, size_t most = kMostPartitions,
                                                                 uint64_t sector = 512);

// Marks as refused whatever shares bytes with another partition, or with the table itself.
struct TableExtent {
  uint64_t begin = 0, end = 0;  // bytes
};
void refuse_overlapping(std::vector<Partition>& partitions, const std::vector<TableExtent>& tables);

}  // namespace extscrub
