// Writes an inode's block map anew: an extent tree or an indirect map that holds exactly the runs it is given, as flat as
// it can be. The one way in which repairs prune, mend, extend or redirect a map.
// For one thread.
#pragma once

#include <span>

#include "audit/stage/block_allocator.h"
#include "scan/map/block_map.h"

namespace extscrub {

// What became of a map.
enum class MapWritten : uint8_t {
  written,
  no_room,    // blocks for tree nodes are wanted, and there are none
  too_large,  // the form cannot hold a run
};

// Gives the raw inode `ino` (its bytes in the overlay; not sealed here) the map `runs`, in the form that its flags say.
// `runs`: in logical order, without overlaps; `nodes`: tree blocks that are the inode's alone and may be used again.
// i_blocks and i_size stay as they are. Unless it is written nothing is staged. Errors: those of the overlay.
[[nodiscard]] Result<MapWritten> write_map(const FileSystem& fs, Overlay& overlay, BlockAllocator& blocks, InodeNo ino,
                                           MutableBytes raw, std::span<const Run> runs, std::span<const BlockNo> nodes);

// The same for a map that nobody can do without: that it is not written is an error.
[[nodiscard]] Result<void> must_write_map(const FileSystem& fs, Overlay& overlay, BlockAllocator& blocks, InodeNo ino,
                                          MutableBytes raw, std::span<const Run> runs, std::span<const BlockNo> nodes);

// The runs of `runs` without the blocks [first, first + count) of the file.
[[nodiscard]] std::vector<Run> without_logical(std::span<const Run> runs, uint64_t first, uint64_t count);

}  // namespace extscrub
