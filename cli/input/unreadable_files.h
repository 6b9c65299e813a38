// Lists of what cannot be read, made by other programs. Any thread.
#pragma once

#include <string>

#include "cli/files/text_file.h"
#include "scan/inodes/data_scan.h"

namespace extscrub {

// What badblocks prints: the number of a block on each line, in units of `unit` bytes (0: blocks of the file system).
// Errors: those of read_text_file(); or a line is something else, and the message names both.
[[nodiscard]] Result<UnreadableList> read_bad_blocks_file(const std::string& file, uint32_t unit,
                                                          const TextFileRules& rules = {});

// The mapfile of GNU ddrescue: all that is not finished ("+") counts as unreadable, since the copy does not have it.
// Errors: as above.
[[nodiscard]] Result<UnreadableList> read_ddrescue_map(const std::string& file, const TextFileRules& rules = {});

}  // namespace extscrub
