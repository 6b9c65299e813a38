// Disks with partition tables, as bytes. Plain functions: any thread.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace extscrub::test {

inline constexpr size_t kMiB = 1 << 20;

template <class T>
void put_number(std::string& bytes, size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

inline uint32_t crc32_of(std::string_view bytes) {
  uint32_t crc = ~uint32_t{0};
  for (const char byte : bytes) {
    crc ^= static_cast<uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc;
}

// Type GUIDs as they are stored.
inline const std::string kLinuxFiles("\xaf\x3d\xc6\x0f\x83\x84\x72\x47\x8e\x79\x3d\x69\xd8\x47\x7d\xe4", 16);
inline const std::string kLinuxLvm("\x79\xd3\xd6\xe6\x07\xf5\xc2\x44\xa2\x3c\x23\x8f\x2a\x3d\xf9\x28", 16);
inline const std::string kLinuxSwap("\x6d\xfd\x57\x06\xab\xa4\xc4\x43\x84\xe5\x09\x33\xc8\x4b\x4f\x4f", 16);
inline const std::string kBiosBoot("\x48\x61\x68\x21\x49\x64\x6f\x6e\x74\x4e\x65\x65\x64\x45\x46\x49", 16);

struct GptPartition {
  std::string type;
  size_t offset, length;  // bytes
};

// A disk of zeros with a protective MBR, a GPT and its backup.
inline std::string gpt_disk(size_t size, const std::vector<GptPartition>& partitions, size_t sector = 512) {
  std::string disk(size, '\0'), entries(128 * 128, '\0');
  for (size_t i = 0; i < partitions.size(); ++i) {
    const auto& [type, offset, length] = partitions[i];
    entries.replace(i * 128, 16, type);
    put_number<uint64_t>(entries, i * 128 + 32, offset / sector);
    put_number<uint64_t>(entries, i * 128 + 40, (offset + length) / sector - 1);
  }
  const uint64_t sectors = size / sector, taken = entries.size() / sector;
  const auto put_header = [&](uint64_t mine, uint64_t other, uint64_t entries_at) {
    std::string header(92, '\0');
    header.replace(0, 8, "EFI PART");
    put_number<uint32_t>(header, 8, 0x10000);
    put_number<uint32_t>(header, 12, 92);
    put_number<uint64_t>(header, 24, mine);
    put_number<uint64_t>(header, 32, other);
    put_number<uint64_t>(header, 40, 2 + taken);
    put_number<uint64_t>(header, 48, sectors - 2 - taken);
    put_number<uint64_t>(header, 72, entries_at);
    put_number<uint32_t>(header, 80, 128);
    put_number<uint32_t>(header, 84, 128);
    put_number<uint32_t>(header, 88, crc32_of(entries));
    put_number<uint32_t>(header, 16, crc32_of(header));
    disk.replace(mine * sector, header.size(), header);
    disk.replace(entries_at * sector, entries.size(), entries);
  };
  put_header(1, sectors - 1, 2);
  put_header(sectors - 1, 1, sectors - 1 - taken);
  disk[450] = '\xee';
  put_number<uint32_t>(disk, 454, 1);
  put_number<uint32_t>(disk, 458, static_cast<uint32_t>(sectors - 1));
  put_number<uint16_t>(disk, 510, 0xaa55);
  return disk;
}

// Entry `slot` of the boot record at byte `record`.
inline void put_dos_entry(std::string& disk, size_t record, int slot, uint8_t type, uint32_t start, uint32_t sectors) {
  const size_t at = record + 446 + static_cast<size_t>(slot) * 16;
  disk[at + 4] = static_cast<char>(type);
  put_number(disk, at + 8, start);
  put_number(disk, at + 12, sectors);
  put_number<uint16_t>(disk, record + 510, 0xaa55);
}

// The magic number of ext2/3/4 for a file system at byte `at`.
inline void put_ext_magic(std::string& disk, size_t at) { put_number<uint16_t>(disk, at + 1080, 0xef53); }

}  // namespace extscrub::test
