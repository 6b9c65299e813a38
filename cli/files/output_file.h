// A file that is replaced in whole, as that of --output: what it is to hold is written beside it and takes its name only
// when it is all on the disk, so that there is never half a report. One owner, one thread.
#pragma once

#include <fcntl.h>

#include <filesystem>
#include <string>
#include <string_view>

#include "scan/format/error.h"

namespace extscrub {

class OutputFile {
 public:
  // Made before the work begins, so that a report of hours is not lost to a missing directory. A FIFO that somebody reads, a
  // character device (/dev/null) and a descriptor of this process (/dev/stdout, /dev/fd/N) are written to directly, the last
  // from where it stands. `mode`: the permissions of a new file, less the umask. Errors: the file cannot be made; it is of
  // another kind; nobody reads the FIFO.
  [[nodiscard]] static Result<OutputFile> create(const std::filesystem::path& path, unsigned mode = 0666);

  // The file `name` of the directory that is open as `directory` and stays so. Whatever has the name is replaced: a link in
  // that place is not followed. Errors: the file cannot be made.
  [[nodiscard]] static Result<OutputFile> create_in(int directory, const std::string& name, unsigned mode);

  // Whether create() could be used for what is there, asked without waiting for anybody. A FIFO is none that can.
  [[nodiscard]] static Result<void> may_replace(const std::filesystem::path& path);

  // Writes all of `text`, syncs, and gives the file its name. Errors: any of these failed; the old file is still there.
  [[nodiscard]] Result<void> finish(std::string_view text);

  // The name that finish() gives it; empty for what is written to directly.
  [[nodiscard]] const std::filesystem::path& replaces() const { return path_; }

  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&& other) noexcept;
  ~OutputFile();  // without finish(): nothing is left behind

 private:
  OutputFile() = default;
  [[nodiscard]] Result<void> make_temporary(unsigned mode);
  [[nodiscard]] Result<void> write(std::string_view text) const;

  std::filesystem::path path_, temporary_;  // no temporary: written to directly
  int directory_ = AT_FDCWD;                // where they begin, if they are relative
  int fd_ = -1;
};

}  // namespace extscrub
