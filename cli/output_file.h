// A file that is replaced in whole, as that of --output: what it is to hold is written beside it and takes its name only
// when it is all on the disk, so that there is never half a report. One owner, one thread.
#pragma once

#include <filesystem>
#include <string_view>

#include "scan/error.h"

namespace extscrub {

class OutputFile {
 public:
  // Made before the work begins, so that a report of hours is not lost to a missing directory. A pipe or a character
  // device (/dev/null) is written to directly. `mode`: the permissions of a new file, less the umask. Errors: the file
  // cannot be made; it is a directory or a block device.
  [[nodiscard]] static Result<OutputFile> create(const std::filesystem::path& path, unsigned mode = 0666);

  // Writes all of `text`, syncs, and gives the file its name. Errors: any of these failed; the old file is still there.
  [[nodiscard]] Result<void> finish(std::string_view text);

  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&& other) noexcept;
  ~OutputFile();  // without finish(): nothing is left behind

 private:
  OutputFile() = default;

  std::filesystem::path path_, temporary_;  // no temporary: written to directly
  int fd_ = -1;
};

}  // namespace extscrub
