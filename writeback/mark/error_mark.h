// What a superblock says about the state of its file system: armed ("not clean"), marked ("has errors"), sealed.
// Pure functions over the 1024 bytes of a superblock (struct ext4_super_block, fs/ext4/ext4.h) or of a journal's
// (journal_superblock_s, include/linux/jbd2.h): any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "scan/format/ondisk.h"

namespace extscrub {

using SuperblockBytes = std::span<std::byte, kSuperblockSize>;
using ConstSuperblockBytes = std::span<const std::byte, kSuperblockSize>;

struct ErrorRecord {
  int error = 0;              // errno
  uint64_t block = 0;         // 0 when no block is known
  std::string_view function;  // cut at 32 bytes
  uint32_t line = 0;
};

struct ErrorMark {
  ErrorRecord first, last;
  uint64_t count = 1;  // failures seen
  uint64_t time = 0;   // seconds since 1970; 40 bits are kept
};

// Sets s_state's error bit (all other bits stay), s_error_count, s_last_error_*, and s_first_error_* where there is
// none yet, then seals.
void apply_error_mark(SuperblockBytes superblock, const ErrorMark& mark);

// Clears the valid bit of s_state, then seals: a kernel mounts it with a warning, e2fsck checks it whole.
void arm_superblock(SuperblockBytes superblock);

// Says that the journal has to be replayed (needs_recovery), or that it has not, then seals.
void set_needs_recovery(SuperblockBytes superblock, bool needed);

// Writes s_checksum where the image has metadata_csum; does nothing otherwise.
void seal_superblock(SuperblockBytes superblock);

// The magic number is there, and the checksum is right where there is one.
[[nodiscard]] bool is_sound_superblock(ConstSuperblockBytes superblock);

// s_feature_incompat has RECOVER: a mount would replay the journal first.
[[nodiscard]] bool needs_recovery(ConstSuperblockBytes superblock);

// s_state has the valid bit.
[[nodiscard]] bool says_clean(ConstSuperblockBytes superblock);

// The number s_first_error_errcode and s_last_error_errcode keep for an errno: errnos differ between architectures.
[[nodiscard]] uint8_t error_code_of(int error);

// The bytes are a jbd2 superblock.
[[nodiscard]] bool is_journal_superblock(ConstSuperblockBytes journal);

// They are, and the checksum is right where there is one: then, and only then, does anybody replay the log.
[[nodiscard]] bool is_sound_journal_superblock(ConstSuperblockBytes journal);

// Sets s_start of a journal's superblock to 0 and seals it: the log is empty.
void empty_log(SuperblockBytes journal);

// Sets s_errno of a journal's superblock to -EIO and seals it. Whoever replays the journal afterwards takes the error
// over into the superblock, even if the replay has put an older one there.
void set_journal_error(SuperblockBytes journal);

}  // namespace extscrub
