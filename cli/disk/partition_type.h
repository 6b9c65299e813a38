// What a partition is for, by the type that the partition table gives it. Pure functions: any thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace extscrub {

enum class PartitionUse : uint8_t {
  other,         // another system's, or not known here
  linux_files,   // a file system of Linux, whichever
  linux_volume,  // what a file system of Linux lies in: LVM, LUKS, RAID
  swap,
  fat,   // an EFI system partition, or another that firmware reads
  boot,  // no file system: code of a boot loader, or set aside
};

struct PartitionType {
  std::string name;  // as fdisk(8) has it; the number of one that is not known
  PartitionUse use = PartitionUse::other;
};

// The type GUID as it is stored, its first three fields little-endian.
[[nodiscard]] PartitionType gpt_partition_type(const std::array<uint8_t, 16>& guid);

[[nodiscard]] PartitionType dos_partition_type(uint8_t type);

}  // namespace extscrub
