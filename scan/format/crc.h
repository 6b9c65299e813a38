// CRC32C (metadata_csum, jbd2 v2 and v3), CRC32 (jbd2 v1) and CRC16 (gdt_csum), as the on-disk format uses them.
// Stateless: any thread.
#pragma once

#include "scan/format/ondisk.h"

namespace extscrub {

// crc32c without a final inversion: crc32c(crc32c(~0, a), b) == crc32c(~0, a + b).
[[nodiscard]] uint32_t crc32c(uint32_t seed, Bytes bytes);
[[nodiscard]] uint16_t crc16(uint16_t seed, Bytes bytes);
// The way back: crc32c_before(crc32c(seed, bytes), bytes) == seed.
[[nodiscard]] uint32_t crc32c_before(uint32_t crc, Bytes bytes);
// The CRC-32 of Ethernet, most significant bit first, without a final inversion.
[[nodiscard]] uint32_t crc32_be(uint32_t seed, Bytes bytes);

template <class T>
[[nodiscard]] uint32_t crc32c_of(uint32_t seed, const T& value) {
  return crc32c(seed, bytes_of(value));
}

}  // namespace extscrub
