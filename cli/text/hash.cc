#define XXH_INLINE_ALL
#include "cli/text/hash.h"

#include <fmt/format.h>
#include <xxhash.h>

namespace extscrub {

std::string hash_of(Bytes bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

}  // namespace extscrub
