#include "scan/crc.h"

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

}  // namespace

uint32_t crc32c(uint32_t seed, Bytes bytes) {
  // ISA-L does not write to the buffer, but its parameter is not const.
  auto* data = reinterpret_cast<unsigned char*>(const_cast<std::byte*>(bytes.data()));
  return crc32_iscsi(data, static_cast<int>(bytes.size()), seed);
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
