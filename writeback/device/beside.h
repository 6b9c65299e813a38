// What the files beside an image have in common (the sidecar, the undo log): where they are put, and how they are made
// durable. Stateless: any thread.
#pragma once

#include <filesystem>
#include <string_view>

#include "scan/format/ondisk.h"

namespace extscrub {

// IMAGE and `suffix`, beside the file a symbolic link leads to; for a block device in the current directory, because /dev
// does not outlive the machine's run.
[[nodiscard]] std::filesystem::path path_beside(const std::filesystem::path& image, std::string_view suffix);

// Writes all of `bytes` at byte `at` of the file. 0, or the errno.
[[nodiscard]] int write_all(int fd, uint64_t at, Bytes bytes);

// fsync of the directory that has the entry `path`: 0, or the errno.
[[nodiscard]] int sync_directory_of(const std::filesystem::path& path);

}  // namespace extscrub
