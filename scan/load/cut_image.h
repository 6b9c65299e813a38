// Whether the end of an image is missing, or only its superblock says a wrong number of blocks. Any thread.
#pragma once

#include "scan/filesystem/file_system.h"

namespace extscrub {

// `fs`: with superblock and geometry, its descriptors not loaded yet. The image is cut short where it is the begin of the file
// system that the superblock describes: at least a hundredth of it is there, and the number of blocks is sealed by the
// superblock's checksum or, without metadata_csum, is what a backup or the descriptors and bitmaps say too.
[[nodiscard]] bool is_cut_short(const FileSystem& fs);

}  // namespace extscrub
