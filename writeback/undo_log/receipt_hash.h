// What a receipt knows a buffer's bytes by: XXH3, 64 bits. Not CRC-32C, which is the same for every block that ends with
// its own. Stateless: any thread.
#pragma once

#include <cstdint>

#include "scan/format/ondisk.h"

namespace extscrub {

[[nodiscard]] uint64_t receipt_hash(Bytes bytes);

}  // namespace extscrub
