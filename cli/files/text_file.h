// Files of text that somebody else has made: lists, plans, what an earlier run has kept. None of them can make a run hang,
// whatever lies at the path: nothing is waited for but pipes that were handed to this process, and these only until it is
// told to stop. Any thread.
#pragma once

#include <fcntl.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "scan/format/error.h"

namespace extscrub {

struct TextFileRules {
  const std::atomic<bool>* stop = nullptr;  // becomes true when the run is to end; may be null
  int directory = AT_FDCWD;                 // where a relative path begins
  bool follow_link = true;                  // the last part of the path may be a symbolic link
  uint64_t most = uint64_t{1} << 30;        // bytes
};

// All bytes of the file. It has to be a regular one, or /dev/null; behind a path that stands for a descriptor of this process
// (/dev/stdin, /dev/fd/63 of a shell's <(...)) it may be a pipe or a terminal too. `name`: what messages call it.
// Errors: it is not there (system, ENOENT), cannot be read, is of another kind or too large (refused); cancelled.
[[nodiscard]] Result<std::string> read_text_file(const std::string& path, std::string_view name, const TextFileRules& rules = {});

// The same for what is left to be read from a descriptor, of whatever kind; it stays open.
[[nodiscard]] Result<std::string> read_descriptor(int fd, std::string_view name, const TextFileRules& rules = {});

}  // namespace extscrub
