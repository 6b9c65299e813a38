// The superblock of a jbd2 journal (journal_superblock_s, include/linux/jbd2.h): when it is sound, how it is sealed, and the few
// fields that others than a journal's reader write.
// Pure functions over its 1024 bytes: any thread.
#pragma once

#include "scan/format/jbd2_format.h"

namespace extscrub {

using JournalSuperBytes = std::span<std::byte, jbd2::kSuperSize>;
using ConstJournalSuperBytes = std::span<const std::byte, jbd2::kSuperSize>;

// s_checksum: the 1024 bytes, the field taken as zero.
[[nodiscard]] uint32_t journal_superblock_checksum(ConstJournalSuperBytes journal);

// Writes s_checksum where the journal has checksums of version 2 or 3; does nothing otherwise.
void seal_journal_superblock(JournalSuperBytes journal);

// The bytes are a jbd2 superblock.
[[nodiscard]] bool is_journal_superblock(ConstJournalSuperBytes journal);

// They are, and the checksum is right where there is one: then, and only then, does anybody replay the log.
[[nodiscard]] bool is_sound_journal_superblock(ConstJournalSuperBytes journal);

// These three seal it.

// s_start and s_sequence: the log begins there, with the transaction of that number, and no error is noted.
void begin_log(JournalSuperBytes journal, uint32_t start, uint32_t sequence);

// s_start is 0: the log is empty.
void empty_log(JournalSuperBytes journal);

// s_errno is -EIO. Whoever replays the journal afterwards takes the error over into the superblock, even if the replay has put
// an older one there.
void set_journal_error(JournalSuperBytes journal);

}  // namespace extscrub
