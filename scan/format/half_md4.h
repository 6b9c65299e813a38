// Half-MD4, the usual hash of indexed directories, over many names at once: eight names go through the lanes of a vector,
// and a lane that is done takes the next name, so that short and long ones may stand side by side.
// With AVX2 where the processor has it. Stateless: any thread.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace extscrub {

// What the computation begins with: s_hash_seed, or the default one.
using HashSeed = std::array<uint32_t, 4>;

// Fills `hashes` (as many as there are names), bit 0 clear as in the index. `is_signed`: characters count as signed ones.
// The names lie in a buffer that can be read up to `end`, so that a short name may be loaded with what lies behind it.
void half_md4(const HashSeed& seed, bool is_signed, std::span<const std::string_view> names, const char* end,
              std::span<uint32_t> hashes);

// The same without AVX2, for tests.
void half_md4_portable(const HashSeed& seed, bool is_signed, std::span<const std::string_view> names, const char* end,
                       std::span<uint32_t> hashes);

}  // namespace extscrub
