// Loads a file system: which superblock and which descriptors to go by, where they may be damaged, by evidence.
// Stateless: any thread.
#pragma once

#include <optional>

#include "scan/filesystem/file_system.h"

namespace extscrub {

struct LoadOptions {
  std::optional<uint64_t> superblock;  // the block number of the superblock to go by
  std::optional<uint32_t> block_size;  // bytes; the unit of `superblock`, and of the search for backups
  bool search = true;                  // for backups at unusual places too, which may read 256 MiB
};

// The superblock to go by: the primary where it is sound, and where it has no checksum, where its backups do not outvote it;
// else a sound backup of the same UUID, or of the one file system that what lies behind the primary's place speaks for (see
// superblock_evidence.h); else the primary if it can be gone by at all. Where only the image's end is missing, it is loaded as
// far as it goes (FileSystem::end). Errors: there is none, or more than one file system may be meant, or the options name none;
// the code tells which kind, as in derive_geometry().
[[nodiscard]] Result<FileSystem> load_superblock(const Image& image, const Overlay* overlay, const LoadOptions& options);

// Reads the descriptors, decides by evidence where one is in doubt, lays out the metadata map and reads the lists of bad
// blocks and orphans. `fs.blocks` must be set. A descriptor block that cannot be read leaves its descriptors unreadable; that
// is no error.
void load_descriptors(FileSystem& fs);

}  // namespace extscrub
