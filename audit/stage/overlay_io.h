// libext2fs over image + overlay: an io_manager whose reads see the staged blocks and whose writes stage blocks. The
// image is never written. What a write does not change is not staged.
// An open file system belongs to one thread, as libext2fs does; the overlay must outlive it.
#pragma once

#include <memory>

#include "scan/filesystem/file_system.h"
#include "scan/format/ext2fs.h"

namespace extscrub {

struct CloseFileSystem {
  // Drops what was not flushed: who wants changes staged calls flush_library().
  void operator()(ext2_filsys fs) const { ext2fs_free(fs); }
};

using LibraryFileSystem = std::unique_ptr<struct_ext2_filsys, CloseFileSystem>;

// Opens the file system by the primary superblock for reading and staging. Only the primary superblock and descriptors are
// written by a flush. `now`: the time that goes into what the library changes. Errors: what libext2fs says of it.
[[nodiscard]] Result<LibraryFileSystem> open_library(Overlay& overlay, uint32_t now);

// Stages bitmaps, descriptors and superblock as far as they were changed.
[[nodiscard]] Result<void> flush_library(ext2_filsys fs);

[[nodiscard]] Error library_error(std::string what, errcode_t code);

}  // namespace extscrub
