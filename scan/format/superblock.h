// The superblock (struct ext4_super_block, fs/ext4/ext4.h): when it is sound, how it is sealed, and what it says of the state
// of its file system: armed ("not clean"), marked ("has errors"). Whoever changes one does so through here, or seals it here.
// Pure: any thread.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "scan/format/ondisk.h"

namespace extscrub {

using SuperblockBytes = std::span<std::byte, kSuperblockSize>;
using ConstSuperblockBytes = std::span<const std::byte, kSuperblockSize>;

// ---- The checksum ----

// s_checksum: the 1020 bytes before it, from ~0.
[[nodiscard]] uint32_t superblock_checksum(const ext2_super_block& super);

// It carries one: the image has metadata_csum.
[[nodiscard]] bool has_checksum(const ext2_super_block& super);

// Right, or there is none.
[[nodiscard]] bool has_right_checksum(const ext2_super_block& super);

// Writes s_checksum where the image has metadata_csum; does nothing otherwise.
void seal_superblock(ext2_super_block& super);
void seal_superblock(SuperblockBytes superblock);

// The magic number is there, and the checksum is right where there is one.
[[nodiscard]] bool is_sound_superblock(ConstSuperblockBytes superblock);

// ---- The state ----

// s_state has the valid bit.
[[nodiscard]] bool says_clean(ConstSuperblockBytes superblock);

// Clears the valid bit of s_state, then seals: a kernel mounts it with a warning, e2fsck checks it whole.
void arm_superblock(SuperblockBytes superblock);

// s_feature_incompat has RECOVER: a mount would replay the journal first.
[[nodiscard]] bool needs_recovery(ConstSuperblockBytes superblock);

// Says that the journal has to be replayed, or that it has not, then seals.
void set_needs_recovery(SuperblockBytes superblock, bool needed);

// ---- What is recorded of errors ----

// s_first_error_*, s_last_error_*.
struct RecordedError {
  uint64_t time = 0;  // seconds since 1970, 40 bits; 0: there is none
  uint32_t inode = 0;
  uint64_t block = 0;
  std::array<uint8_t, 32> function{};  // not terminated when it is 32 long
  uint32_t line = 0;
  uint8_t code = 0;  // error_code_of()
};

struct ErrorFields {
  uint32_t count = 0;  // s_error_count
  RecordedError first, last;
};

[[nodiscard]] ErrorFields error_fields(const ext2_super_block& super);
void set_error_fields(ext2_super_block& super, const ErrorFields& errors);  // {} forgets them all

// What a mount takes over into a superblock that was replayed, from the one that was stored: the record of errors, but for the
// times' high bytes and the codes, and the error bit.
void keep_errors(const ext2_super_block& stored, ext2_super_block& replayed);

// The number that is kept for an errno: errnos differ between architectures.
[[nodiscard]] uint8_t error_code_of(int error);

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

// Zeros what a commit changes by itself: needs_recovery, s_state, the record of errors, s_checksum.
void blank_commit_fields(SuperblockBytes superblock);

}  // namespace extscrub
