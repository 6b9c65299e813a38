// What a path leads to that is no regular file. Asks the file system each time: any thread.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string_view>

namespace extscrub {

// "a directory", "a FIFO" and so on, for a st_mode.
[[nodiscard]] std::string_view kind_of_file(mode_t mode);

// The descriptor of this process that the path stands for: 1 for /dev/stdout, 63 for /dev/fd/63, and the same for links to
// them. Nothing for any other path, and without /proc.
[[nodiscard]] std::optional<int> descriptor_of(std::filesystem::path path);

}  // namespace extscrub
