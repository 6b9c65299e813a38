// The block of multiple-mount protection (mmp_struct): its numbers, when it is sound, how it is sealed.
// Pure: any thread.
#pragma once

#include <cstdint>
#include <optional>

#include "scan/format/geometry.h"
#include "scan/format/ondisk.h"

namespace extscrub {

// mmp_checksum: all before it.
[[nodiscard]] uint32_t mmp_checksum(uint32_t seed, const mmp_struct& mmp);

// `seed`: nothing without metadata_csum; then there is no checksum.
[[nodiscard]] std::optional<uint32_t> mmp_seed(const Geometry& geometry);
void seal_mmp(std::optional<uint32_t> seed, mmp_struct& mmp);
[[nodiscard]] bool has_right_checksum(std::optional<uint32_t> seed, const mmp_struct& mmp);

// mmp_seq says "at rest", "being checked", or is a number that is counted up.
[[nodiscard]] bool has_known_sequence(const mmp_struct& mmp);

}  // namespace extscrub
