#include "scan/format/mmp_block.h"

#include "scan/format/crc.h"

namespace extscrub {

uint32_t mmp_checksum(uint32_t seed, const mmp_struct& mmp) {
  return crc32c(seed, bytes_of(mmp).first(offsetof(mmp_struct, mmp_checksum)));
}

std::optional<uint32_t> mmp_seed(const Geometry& geometry) {
  return geometry.metadata_csum() ? std::optional(geometry.csum_seed) : std::nullopt;
}

void seal_mmp(std::optional<uint32_t> seed, mmp_struct& mmp) {
  if (seed) mmp.mmp_checksum = mmp_checksum(*seed, mmp);
}

bool has_right_checksum(std::optional<uint32_t> seed, const mmp_struct& mmp) {
  return !seed || mmp.mmp_checksum == mmp_checksum(*seed, mmp);
}

bool has_known_sequence(const mmp_struct& mmp) {
  return mmp.mmp_seq <= EXT4_MMP_SEQ_MAX || mmp.mmp_seq == EXT4_MMP_SEQ_CLEAN || mmp.mmp_seq == EXT4_MMP_SEQ_FSCK;
}

}  // namespace extscrub
