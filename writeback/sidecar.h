// The file beside an image that says what the image itself could not be made to say: that a write to it failed.
// Stateless: any thread, but one run an image.
#pragma once

#include <filesystem>
#include <string_view>

#include "scan/error.h"

namespace extscrub {

// IMAGE.extscrub-errored, beside the file a symbolic link leads to. An image that has it is not to be trusted, whatever
// its superblock says.
[[nodiscard]] std::filesystem::path sidecar_path(const std::filesystem::path& image);

// Writes it so that it is there whole or not at all, power cut or not: temporary file, fsync, rename, fsync of the
// directory. Errors: those of the file system beside the image.
[[nodiscard]] Result<std::filesystem::path> write_sidecar(const std::filesystem::path& image, std::string_view text);

}  // namespace extscrub
