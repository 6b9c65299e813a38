// The directory of --state: small files, each read and replaced in whole, and nobody else's. It is held open, so that it
// stays the same one; no link in it is followed. One thread; runs may share a directory.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "scan/format/error.h"

namespace extscrub {

class StateDirectory {
 public:
  // Makes the directory, for this user only, when it is not there. Errors: it cannot be made or used; it belongs to another
  // user (root's is taken), or others than its owner may write to it.
  [[nodiscard]] static Result<StateDirectory> open(const std::filesystem::path& path);

  // Nothing when there is no such file. Errors: it cannot be read, or is no regular file.
  [[nodiscard]] Result<std::optional<std::string>> read(const std::string& name) const;
  // Whatever had the name is replaced. Errors: it cannot be written; what was there is still there.
  [[nodiscard]] Result<void> write(const std::string& name, const std::string& text) const;
  // Errors: it is there and cannot be removed.
  [[nodiscard]] Result<void> remove(const std::string& name) const;

  StateDirectory(StateDirectory&& other) noexcept;
  StateDirectory& operator=(StateDirectory&& other) noexcept;
  ~StateDirectory();

 private:
  StateDirectory() = default;

  int fd_ = -1;
};

}  // namespace extscrub
