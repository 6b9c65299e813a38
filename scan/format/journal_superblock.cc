#include "scan/format/journal_superblock.h"

#include <cerrno>

#include "scan/format/crc.h"

namespace extscrub {

namespace {

bool carries_checksum(ConstJournalSuperBytes journal) {
  return jbd2::be32(journal, jbd2::kHeaderType) == jbd2::kSuperV2 &&
         (jbd2::be32(journal, jbd2::kIncompat) & (jbd2::kIncompatCsumV2 | jbd2::kIncompatCsumV3)) != 0;
}

}  // namespace

uint32_t journal_superblock_checksum(ConstJournalSuperBytes journal) {
  const uint32_t crc = crc32c_of(crc32c(~0u, journal.first(jbd2::kChecksum)), uint32_t{0});
  return crc32c(crc, journal.subspan(jbd2::kChecksum + sizeof(uint32_t)));
}

void seal_journal_superblock(JournalSuperBytes journal) {
  if (carries_checksum(journal)) jbd2::put_be32(journal, jbd2::kChecksum, journal_superblock_checksum(journal));
}

bool is_journal_superblock(ConstJournalSuperBytes journal) {
  const uint32_t type = jbd2::be32(journal, jbd2::kHeaderType);
  return jbd2::be32(journal, jbd2::kHeaderMagic) == jbd2::kMagic && (type == jbd2::kSuperV1 || type == jbd2::kSuperV2);
}

bool is_sound_journal_superblock(ConstJournalSuperBytes journal) {
  if (!is_journal_superblock(journal)) return false;
  return !carries_checksum(journal) || jbd2::be32(journal, jbd2::kChecksum) == journal_superblock_checksum(journal);
}

void begin_log(JournalSuperBytes journal, uint32_t start, uint32_t sequence) {
  jbd2::put_be32(journal, jbd2::kStart, start);
  jbd2::put_be32(journal, jbd2::kSequence, sequence);
  jbd2::put_be32(journal, jbd2::kErrno, 0);
  seal_journal_superblock(journal);
}

void empty_log(JournalSuperBytes journal) {
  jbd2::put_be32(journal, jbd2::kStart, 0);
  seal_journal_superblock(journal);
}

void set_journal_error(JournalSuperBytes journal) {
  jbd2::put_be32(journal, jbd2::kErrno, static_cast<uint32_t>(-EIO));
  seal_journal_superblock(journal);
}

}  // namespace extscrub
