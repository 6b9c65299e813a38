#include "scan/format/crc.h"

#include <isa-l/crc.h>

#include <array>

namespace extscrub {

namespace {

// Reflected polynomial 0x8005, the CRC-16 of group descriptors under gdt_csum.
constexpr std::array<uint16_t, 256> kCrc16Table = [] {
  std::array<uint16_t, 256> table{};
  for (unsigned i = 0; i < 256; ++i) {
    uint16_t crc = static_cast<uint16_t>(i);
    for (int bit = 0; bit < 8; ++bit) crc = static_cast<uint16_t>(crc & 1 ? crc >> 1 ^ 0xA001 : crc >> 1);
    table[i] = crc;
  }
  return table;
}();

// Reflected polynomial 0x82F63B78. The index of an entry by its highest byte, in which all differ.
struct Crc32cTable {
  std::array<uint32_t, 256> of{};
  std::array<uint8_t, 256> index_of_high{};
};
constexpr Crc32cTable kCrc32cTable = [] {
  Crc32cTable table;
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = crc & 1 ? crc >> 1 ^ 0x82F63B78 : crc >> 1;
    table.of[i] = crc;
    table.index_of_high[crc >> 24] = static_cast<uint8_t>(i);
  }
  return table;
}();

#if defined(__x86_64__)
const bool kHasCrc32 = __builtin_cpu_supports("sse4.2");

// The processor's instruction, one word after the other. ISA-L, which folds, is faster from kFolded bytes on only:
// before that it takes 18 ns for 4 bytes and 39 ns for 132, and this 4 ns and 18 ns.
constexpr size_t kFolded = 256;

__attribute__((target("sse4.2"))) uint32_t crc32c_of_few(uint32_t seed, Bytes bytes) {
  uint64_t crc = seed;
  for (; bytes.size() >= sizeof(uint64_t); bytes = bytes.subspan(sizeof(uint64_t)))
    crc = __builtin_ia32_crc32di(crc, load<uint64_t>(bytes));
  auto rest = static_cast<uint32_t>(crc);
  if (bytes.size() >= sizeof(uint32_t)) {
    rest = __builtin_ia32_crc32si(rest, load<uint32_t>(bytes));
    bytes = bytes.subspan(sizeof(uint32_t));
  }
  for (const std::byte b : bytes) rest = __builtin_ia32_crc32qi(rest, std::to_integer<uint8_t>(b));
  return rest;
}
#endif

}  // namespace

uint32_t crc32c(uint32_t seed, Bytes bytes) {
#if defined(__x86_64__)
  if (bytes.size() < kFolded && kHasCrc32) return crc32c_of_few(seed, bytes);
#endif
  // ISA-L does not write to the buffer, but its parameter is not const.
  auto* data = reinterpret_cast<unsigned char*>(const_cast<std::byte*>(bytes.data()));
  return crc32_iscsi(data, static_cast<int>(bytes.size()), seed);
}

uint32_t crc32c_before(uint32_t crc, Bytes bytes) {
  for (size_t i = bytes.size(); i-- > 0;) {
    const uint32_t index = kCrc32cTable.index_of_high[crc >> 24];
    crc = (crc ^ kCrc32cTable.of[index]) << 8 | (index ^ std::to_integer<uint32_t>(bytes[i]));
  }
  return crc;
}

uint16_t crc16(uint16_t seed, Bytes bytes) {
  for (const std::byte b : bytes)
    seed = static_cast<uint16_t>(seed >> 8 ^ kCrc16Table[(seed ^ std::to_integer<uint8_t>(b)) & 0xFF]);
  return seed;
}

uint32_t crc32_be(uint32_t seed, Bytes bytes) {
  auto* data = reinterpret_cast<unsigned char*>(const_cast<std::byte*>(bytes.data()));
  return ~crc32_ieee(~seed, data, bytes.size());  // ISA-L inverts before and after
}

}  // namespace extscrub
