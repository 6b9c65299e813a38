// The list of bad blocks, which is the block map of inode 1: entries that cannot be right become holes in it.
#include <algorithm>

#include "audit/inode_repair.h"
#include "scan/bad_blocks.h"
#include "scan/block_map.h"

namespace extscrub {

namespace {

constexpr unsigned kMostLevels = 3;  // of indirect blocks

// The pointers of one block of the map, or of i_block's direct part. `level`: of indirect blocks below the pointers.
Result<void> clear_pointers(const InodeAtWork& work, MutableBytes pointers, unsigned level) {
  const RepairRound& round = work.round;
  for (size_t at = 0; at + sizeof(uint32_t) <= pointers.size(); at += sizeof(uint32_t)) {
    const BlockNo block(load<uint32_t>(pointers, at));
    if (!block) continue;
    // An indirect block in metadata is none: all that it would list goes with it.
    const bool wrong = level > 0 ? must_be_good(round.fs(), block) : std::ranges::binary_search(round.fs().bad_metadata, block);
    if (!round.geometry().contains(block) || wrong) {
      store(pointers, at, uint32_t{0});
    } else if (level > 0) {
      auto below = round.overlay.edit(block);
      if (!below) return std::unexpected(below.error());
      if (auto r = clear_pointers(work, *below, level - 1); !r) return r;
    }
  }
  return {};
}

}  // namespace

Result<void> mend_bad_blocks_list(const InodeAtWork& work) {
  const MutableBytes area = work.raw.subspan(offsetof(ext2_inode, i_block), EXT2_N_BLOCKS * sizeof(uint32_t));
  if (work.inode().uses_extents()) {
    // Nothing makes such a list; it has no holes to put in.
    std::ranges::fill(area, std::byte{0});
    work.set_flags(work.inode().base().i_flags & ~uint32_t{EXT4_EXTENTS_FL});
  } else {
    if (auto r = clear_pointers(work, area.first(EXT2_NDIR_BLOCKS * sizeof(uint32_t)), 0); !r) return r;
    for (unsigned level = 1; level <= kMostLevels; ++level)
      if (auto r = clear_pointers(work, area.subspan((EXT2_NDIR_BLOCKS + level - 1) * sizeof(uint32_t), sizeof(uint32_t)), level); !r)
        return r;
  }
  RunList list;
  MapWalker walker(work.round.fs());
  const BlockMap& map = walker.walk(work.inode(), list);
  const uint64_t blocks = map.clusters << work.round.geometry().cluster_bits;
  store(work.raw, offsetof(ext2_inode, i_blocks), static_cast<uint32_t>(blocks * (work.round.geometry().block_size / 512)));
  if (map.clusters == 0) work.set_size(0);
  return {};
}

}  // namespace extscrub
