#include "audit/primary_superblock.h"
#include "audit/repair.h"

namespace extscrub {

Result<size_t> repair_superblock(RepairRound& round) {
  size_t answered = 0;
  bool other_damage = false;
  for (const Finding& f : round.findings)
    other_damage = other_damage || f.problem == Problem::superblock_field || f.problem == Problem::superblock_features;
  const auto apply = [&](Finding& f) {
    return edit_primary_superblock(round.overlay, [&](ext2_super_block& s) {
      if (f.problem == Problem::superblock_free_inodes) s.s_free_inodes_count = static_cast<uint32_t>(f.repair_value);
      if (f.problem != Problem::superblock_free_blocks) return;
      s.s_free_blocks_count = static_cast<uint32_t>(f.repair_value);
      if (round.run.fs.geometry.has_incompat(EXT4_FEATURE_INCOMPAT_64BIT))
        s.s_free_blocks_hi = static_cast<uint32_t>(f.repair_value >> 32);
    });
  };
  for (Finding& f : round.findings) {
    const bool checksum = f.problem == Problem::superblock_checksum;
    if (!checksum && f.problem != Problem::superblock_free_blocks && f.problem != Problem::superblock_free_inodes) continue;
    if (checksum && other_damage) continue;
    if (auto r = apply(f); !r) return std::unexpected(r.error());
    f.repair = RepairState::staged;
    ++answered;
  }
  return answered;
}

Result<void> stage_state(Overlay& overlay, bool clean, uint32_t now) {
  return edit_primary_superblock(overlay, [&](ext2_super_block& s) {
    if (!clean) {
      s.s_state &= static_cast<uint16_t>(~EXT2_VALID_FS);
      return;
    }
    s.s_state |= EXT2_VALID_FS;
    if (s.s_state & EXT2_ERROR_FS) {
      s.s_state &= static_cast<uint16_t>(~EXT2_ERROR_FS);
      // The record of the errors goes with the mark, as a whole.
      auto* record = reinterpret_cast<std::byte*>(&s) + EXT4_S_ERR_START;
      std::memset(record, 0, EXT4_S_ERR_LEN);
      s.s_first_error_time_hi = s.s_last_error_time_hi = 0;
      s.s_first_error_errcode = s.s_last_error_errcode = 0;
    }
    s.s_lastcheck = now;
    s.s_mnt_count = 0;
  });
}

}  // namespace extscrub
