#include "writeback/mark/error_mark.h"

#include <endian.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <utility>

#include "scan/format/crc.h"

namespace extscrub {

namespace {

constexpr uint16_t kValid = 1, kErrors = 2;  // s_state
constexpr uint32_t kRecover = 0x4;           // s_feature_incompat
constexpr size_t kChecksumOffset = offsetof(ext2_super_block, s_checksum);
static_assert(kChecksumOffset == 0x3FC && offsetof(ext2_super_block, s_first_error_errcode) == 0x27A);

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

// journal_superblock_s, big-endian: h_magic, h_blocktype, s_start, s_errno, s_feature_incompat, s_checksum.
constexpr uint32_t kJournalMagic = 0xC03B3998, kJournalV1 = 3, kJournalV2 = 4, kJournalChecksums = 0x8 | 0x10;
constexpr size_t kJournalType = 0x4, kJournalStart = 0x1C, kJournalErrno = 0x20, kJournalIncompat = 0x28, kJournalChecksum = 0xFC;

uint32_t load_be32(Bytes bytes, size_t offset) {
  return be32toh(load<uint32_t>(bytes, offset));
}
void store_be32(MutableBytes bytes, size_t offset, uint32_t value) {
  store(bytes, offset, htobe32(value));
}

void copy_name(std::span<unsigned char> field, std::string_view name) {
  const size_t n = std::min(field.size(), name.size());
  std::copy_n(name.begin(), n, field.begin());
  std::fill(field.begin() + static_cast<std::ptrdiff_t>(n), field.end(), 0);
}

uint32_t superblock_checksum(ConstSuperblockBytes superblock) {
  return crc32c(~0u, superblock.first(kChecksumOffset));
}

bool has_checksum(ConstSuperblockBytes superblock) {
  constexpr uint32_t kMetadataCsum = 0x400;
  return (load<ext2_super_block>(superblock).s_feature_ro_compat & kMetadataCsum) != 0;
}

}  // namespace

uint8_t error_code_of(int error) {
  const auto* it = std::ranges::find(kErrorCodes, error, &std::pair<int, uint8_t>::first);
  return it == kErrorCodes.end() ? kUnknownError : it->second;
}

void apply_error_mark(SuperblockBytes superblock, const ErrorMark& mark) {
  auto sb = load<ext2_super_block>(superblock);
  const auto time_low = static_cast<uint32_t>(mark.time);
  const auto time_high = static_cast<uint8_t>(mark.time >> 32);
  sb.s_state |= kErrors;
  sb.s_error_count =
      static_cast<uint32_t>(std::min<uint64_t>(sb.s_error_count + mark.count, std::numeric_limits<uint32_t>::max()));

  // The times say whether there is a first error, not s_first_error_errcode: e2fsck leaves that behind.
  if (sb.s_first_error_time == 0 && sb.s_first_error_time_hi == 0) {
    sb.s_first_error_time = time_low;
    sb.s_first_error_time_hi = time_high;
    sb.s_first_error_ino = 0;
    sb.s_first_error_block = mark.first.block;
    copy_name(sb.s_first_error_func, mark.first.function);
    sb.s_first_error_line = mark.first.line;
    sb.s_first_error_errcode = error_code_of(mark.first.error);
  }
  sb.s_last_error_time = time_low;
  sb.s_last_error_time_hi = time_high;
  sb.s_last_error_ino = 0;
  sb.s_last_error_block = mark.last.block;
  copy_name(sb.s_last_error_func, mark.last.function);
  sb.s_last_error_line = mark.last.line;
  sb.s_last_error_errcode = error_code_of(mark.last.error);
  store(superblock, 0, sb);
  seal_superblock(superblock);
}

void arm_superblock(SuperblockBytes superblock) {
  constexpr size_t offset = offsetof(ext2_super_block, s_state);
  store(superblock, offset, static_cast<uint16_t>(load<uint16_t>(superblock, offset) & ~kValid));
  seal_superblock(superblock);
}

void seal_superblock(SuperblockBytes superblock) {
  if (has_checksum(superblock)) store(superblock, kChecksumOffset, superblock_checksum(superblock));
}

bool is_sound_superblock(ConstSuperblockBytes superblock) {
  return load<ext2_super_block>(superblock).s_magic == EXT2_SUPER_MAGIC &&
         (!has_checksum(superblock) || load<uint32_t>(superblock, kChecksumOffset) == superblock_checksum(superblock));
}

void set_needs_recovery(SuperblockBytes superblock, bool needed) {
  constexpr size_t offset = offsetof(ext2_super_block, s_feature_incompat);
  const auto features = load<uint32_t>(superblock, offset);
  store(superblock, offset, needed ? features | kRecover : features & ~kRecover);
  seal_superblock(superblock);
}

bool needs_recovery(ConstSuperblockBytes superblock) {
  return (load<ext2_super_block>(superblock).s_feature_incompat & kRecover) != 0;
}

bool says_clean(ConstSuperblockBytes superblock) {
  return (load<ext2_super_block>(superblock).s_state & kValid) != 0;
}

bool is_journal_superblock(ConstSuperblockBytes journal) {
  const uint32_t type = load_be32(journal, kJournalType);
  return load_be32(journal, 0) == kJournalMagic && (type == kJournalV1 || type == kJournalV2);
}

namespace {

bool has_journal_checksum(ConstSuperblockBytes journal) {
  return load_be32(journal, kJournalType) == kJournalV2 && (load_be32(journal, kJournalIncompat) & kJournalChecksums) != 0;
}

void seal_journal(SuperblockBytes journal) {
  if (!has_journal_checksum(journal)) return;
  // s_checksum: over the whole superblock with itself taken as zero.
  store_be32(journal, kJournalChecksum, 0);
  store_be32(journal, kJournalChecksum, crc32c(~0u, journal));
}

}  // namespace

bool is_sound_journal_superblock(ConstSuperblockBytes journal) {
  if (!is_journal_superblock(journal)) return false;
  std::array<std::byte, kSuperblockSize> sealed;
  std::ranges::copy(journal, sealed.begin());
  seal_journal(sealed);
  return std::ranges::equal(sealed, journal);
}

void empty_log(SuperblockBytes journal) {
  store_be32(journal, kJournalStart, 0);
  seal_journal(journal);
}

void set_journal_error(SuperblockBytes journal) {
  store_be32(journal, kJournalErrno, static_cast<uint32_t>(-EIO));
  seal_journal(journal);
}

}  // namespace extscrub
