// The orphan list and the orphan file: inodes that were deleted, or cut, while they were still open, chained from
// s_last_orphan through i_dtime, or listed in the blocks of the file s_orphan_file_inum. Until the next mount releases them
// they keep their inode and their blocks.
// Stateless: any thread.
#pragma once

#include <vector>

#include "scan/filesystem/file_system.h"
#include "scan/format/inode.h"

namespace extscrub {

// The inodes of the list, sorted. Ends at the first number that is no inode or was there before.
[[nodiscard]] std::vector<InodeNo> read_orphan_list(const FileSystem& fs);

// The blocks of the orphan file.
struct OrphanFileFacts {
  bool whole = false;           // a regular file whose map can be followed and has blocks, not too many
  std::vector<BlockNo> blocks;  // in order
};
[[nodiscard]] OrphanFileFacts read_orphan_file(const FileSystem& fs, const Inode& inode);

// The inode is an orphan file by its marks: no inode of the file system's own, a map without holes, in each block the magic
// number, and in one of them at least the checksum.
[[nodiscard]] bool is_orphan_file(const FileSystem& fs, InodeNo ino);
// The inode that s_orphan_file_inum names, where it is an orphan file. Else 0.
[[nodiscard]] InodeNo find_orphan_file(const FileSystem& fs);

inline constexpr size_t kOrphanTail = 8;  // magic number and checksum at the end of a block of the orphan file; before them,
                                          // 32-bit inode numbers, 0 for none
enum class OrphanBlockState : uint8_t { sound, magic, checksum };
[[nodiscard]] OrphanBlockState orphan_block_state(const Geometry& geometry, InodeNo file, uint32_t generation, BlockNo at,
                                                  Bytes block);
void seal_orphan_block(const Geometry& geometry, InodeNo file, uint32_t generation, BlockNo at, MutableBytes block);

}  // namespace extscrub
