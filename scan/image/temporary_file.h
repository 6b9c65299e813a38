// Files without a name, which go with their last descriptor. Any thread.
#pragma once

#include <string>

namespace extscrub {

// $TMPDIR, or /var/tmp.
[[nodiscard]] std::string temporary_directory();

// A descriptor, open for reading and writing; -1, with errno, where `directory` cannot have one.
[[nodiscard]] int open_unnamed_file(const std::string& directory);

// For a process that is about to lose the right to open files: the next call of open_unnamed_file() returns what is
// opened here.
void reserve_unnamed_file(const std::string& directory);

}  // namespace extscrub
