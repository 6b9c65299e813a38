#include "scan/format/superblock.h"

#include <algorithm>
#include <cerrno>
#include <limits>
#include <utility>

#include "scan/format/crc.h"

namespace extscrub {

namespace {

static_assert(offsetof(ext2_super_block, s_checksum) == 0x3FC && offsetof(ext2_super_block, s_first_error_errcode) == 0x27A);

// Numbers of ext4.h. EBADMSG is EFSBADCRC and EUCLEAN is EFSCORRUPTED in the kernel's file systems.
constexpr std::array<std::pair<int, uint8_t>, 16> kErrorCodes{{
    {EIO, 2},
    {ENOMEM, 3},
    {EBADMSG, 4},
    {EUCLEAN, 5},
    {ENOSPC, 6},
    {ENOKEY, 7},
    {EROFS, 8},
    {EFBIG, 9},
    {EEXIST, 10},
    {ERANGE, 11},
    {EOVERFLOW, 12},
    {EBUSY, 13},
    {ENOTDIR, 14},
    {ENOTEMPTY, 15},
    {ESHUTDOWN, 16},
    {EFAULT, 17},
}};
constexpr uint8_t kUnknownError = 1;

uint64_t time_of(uint32_t low, uint8_t high) { return low | uint64_t{high} << 32; }

std::array<uint8_t, 32> name_field(std::string_view name) {
  std::array<uint8_t, 32> field{};
  std::copy_n(name.begin(), std::min(field.size(), name.size()), field.begin());
  return field;
}

RecordedError recorded(const ErrorRecord& record, uint64_t time) {
  constexpr uint64_t kKept = (uint64_t{1} << 40) - 1;
  return {time & kKept, 0, record.block, name_field(record.function), record.line, error_code_of(record.error)};
}

template <class Change>
void change(SuperblockBytes superblock, Change&& change_fields) {
  auto super = load<ext2_super_block>(superblock);
  change_fields(super);
  seal_superblock(super);
  store(superblock, 0, super);
}

}  // namespace

uint32_t superblock_checksum(const ext2_super_block& super) {
  return crc32c(~0u, bytes_of(super).first(offsetof(ext2_super_block, s_checksum)));
}

bool has_checksum(const ext2_super_block& super) {
  return (super.s_feature_ro_compat & EXT4_FEATURE_RO_COMPAT_METADATA_CSUM) != 0;
}

bool has_right_checksum(const ext2_super_block& super) {
  return !has_checksum(super) || super.s_checksum == superblock_checksum(super);
}

void seal_superblock(ext2_super_block& super) {
  if (has_checksum(super)) super.s_checksum = superblock_checksum(super);
}

void seal_superblock(SuperblockBytes superblock) {
  change(superblock, [](ext2_super_block&) {});
}

bool is_sound_superblock(ConstSuperblockBytes superblock) {
  const auto super = load<ext2_super_block>(superblock);
  return super.s_magic == EXT2_SUPER_MAGIC && has_right_checksum(super);
}

bool says_clean(ConstSuperblockBytes superblock) { return (load<ext2_super_block>(superblock).s_state & EXT2_VALID_FS) != 0; }

void arm_superblock(SuperblockBytes superblock) {
  change(superblock, [](ext2_super_block& s) { s.s_state &= static_cast<uint16_t>(~EXT2_VALID_FS); });
}

bool needs_recovery(ConstSuperblockBytes superblock) {
  return (load<ext2_super_block>(superblock).s_feature_incompat & EXT3_FEATURE_INCOMPAT_RECOVER) != 0;
}

void set_needs_recovery(SuperblockBytes superblock, bool needed) {
  constexpr uint32_t kRecover = EXT3_FEATURE_INCOMPAT_RECOVER;
  change(superblock, [&](ext2_super_block& s) {
    s.s_feature_incompat = needed ? s.s_feature_incompat | kRecover : s.s_feature_incompat & ~kRecover;
  });
}

ErrorFields error_fields(const ext2_super_block& s) {
  ErrorFields e;
  e.count = s.s_error_count;
  e.first = {time_of(s.s_first_error_time, s.s_first_error_time_hi),
             s.s_first_error_ino,
             s.s_first_error_block,
             {},
             s.s_first_error_line,
             s.s_first_error_errcode};
  e.last = {time_of(s.s_last_error_time, s.s_last_error_time_hi),
            s.s_last_error_ino,
            s.s_last_error_block,
            {},
            s.s_last_error_line,
            s.s_last_error_errcode};
  std::ranges::copy(s.s_first_error_func, e.first.function.begin());
  std::ranges::copy(s.s_last_error_func, e.last.function.begin());
  return e;
}

void set_error_fields(ext2_super_block& s, const ErrorFields& e) {
  s.s_error_count = e.count;
  s.s_first_error_time = static_cast<uint32_t>(e.first.time);
  s.s_first_error_time_hi = static_cast<uint8_t>(e.first.time >> 32);
  s.s_first_error_ino = e.first.inode;
  s.s_first_error_block = e.first.block;
  std::ranges::copy(e.first.function, s.s_first_error_func);
  s.s_first_error_line = e.first.line;
  s.s_first_error_errcode = e.first.code;
  s.s_last_error_time = static_cast<uint32_t>(e.last.time);
  s.s_last_error_time_hi = static_cast<uint8_t>(e.last.time >> 32);
  s.s_last_error_ino = e.last.inode;
  s.s_last_error_block = e.last.block;
  std::ranges::copy(e.last.function, s.s_last_error_func);
  s.s_last_error_line = e.last.line;
  s.s_last_error_errcode = e.last.code;
}

void keep_errors(const ext2_super_block& stored, ext2_super_block& replayed) {
  std::ranges::copy(bytes_of(stored).subspan(EXT4_S_ERR_START, EXT4_S_ERR_LEN),
                    mutable_bytes_of(replayed).subspan(EXT4_S_ERR_START).begin());
  replayed.s_state |= stored.s_state & EXT2_ERROR_FS;
}

uint8_t error_code_of(int error) {
  const auto* it = std::ranges::find(kErrorCodes, error, &std::pair<int, uint8_t>::first);
  return it == kErrorCodes.end() ? kUnknownError : it->second;
}

void apply_error_mark(SuperblockBytes superblock, const ErrorMark& mark) {
  change(superblock, [&](ext2_super_block& s) {
    s.s_state |= EXT2_ERROR_FS;
    ErrorFields errors = error_fields(s);
    errors.count = static_cast<uint32_t>(std::min<uint64_t>(errors.count + mark.count, std::numeric_limits<uint32_t>::max()));
    // The times say whether there is a first error, not s_first_error_errcode: e2fsck leaves that behind.
    if (errors.first.time == 0) errors.first = recorded(mark.first, mark.time);
    errors.last = recorded(mark.last, mark.time);
    set_error_fields(s, errors);
  });
}

void blank_commit_fields(SuperblockBytes superblock) {
  auto super = load<ext2_super_block>(superblock);
  super.s_feature_incompat &= ~uint32_t{EXT3_FEATURE_INCOMPAT_RECOVER};
  super.s_state = 0;
  set_error_fields(super, {});
  super.s_checksum = 0;
  store(superblock, 0, super);
}

}  // namespace extscrub
