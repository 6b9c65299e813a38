// The file beside an image that says what the image itself could not be made to say: that a write to it failed.
// Stateless: any thread, but one run an image.
#pragma once

#include <array>
#include <filesystem>
#include <optional>
#include <string_view>

#include "scan/format/error.h"

namespace extscrub {

// IMAGE.extscrub-errored, where path_beside() says. An image that has it is not to be trusted, whatever its superblock says.
[[nodiscard]] std::filesystem::path sidecar_path(const std::filesystem::path& image);

// A file system's s_uuid.
using FileSystemId = std::array<std::byte, 16>;

// The sidecar of the image, when there is one. Where it lies in the current directory, as a block device's does, it has to
// be of this file system: another device may have the same name.
[[nodiscard]] std::optional<std::filesystem::path> find_sidecar(const std::filesystem::path& image, const FileSystemId& id);

// Removes it, durably. 0, or the errno.
[[nodiscard]] int remove_sidecar(const std::filesystem::path& sidecar);

// Writes it so that it is there whole or not at all, power cut or not: temporary file, fsync, rename, fsync of the
// directory. Errors: those of the file system beside the image.
[[nodiscard]] Result<std::filesystem::path> write_sidecar(const std::filesystem::path& image, const FileSystemId& id,
                                                          std::string_view text);

}  // namespace extscrub
