// The list of bad blocks, which is the block map of inode 1: entries that cannot be right become holes in it.
#include <algorithm>
#include <set>

#include "audit/repair/inode_repair.h"
#include "scan/map/bad_blocks.h"
#include "scan/map/block_map.h"

namespace extscrub {

namespace {

constexpr unsigned kMostLevels = 3;  // of indirect blocks

class ListRepair {
 public:
  ListRepair(const InodeAtWork& work, std::vector<BlockNo> nodes) : round_(work.round), nodes_(std::move(nodes)) {
    std::ranges::sort(nodes_);
  }

  // The pointers of one block of the map, or of i_block's direct part. `level`: of indirect blocks below the pointers.
  Result<void> clear_pointers(MutableBytes pointers, unsigned level) {
    for (size_t at = 0; at + sizeof(uint32_t) <= pointers.size(); at += sizeof(uint32_t)) {
      const BlockNo block(load<uint32_t>(pointers, at));
      if (!block) continue;
      if (!round_.geometry().contains(block) || is_wrong(block, level)) {
        store(pointers, at, uint32_t{0});
      } else if (level > 0) {
        auto below = round_.overlay.edit(block);
        if (!below) return std::unexpected(below.error());
        if (auto r = clear_pointers(*below, level - 1); !r) return r;
      }
    }
    return {};
  }

 private:
  // An indirect block in metadata is none: all that it would list goes with it.
  bool is_wrong(BlockNo block, unsigned level) {
    if (level > 0) return must_be_good(round_.fs(), block);
    return std::ranges::binary_search(round_.fs().bad_metadata, block) || std::ranges::binary_search(nodes_, block) ||
           !seen_.insert(block).second;
  }

  const RepairRound& round_;
  std::vector<BlockNo> nodes_;  // of the list's own map
  std::set<BlockNo> seen_;      // listed so far
};

}  // namespace

Result<void> mend_bad_blocks_list(const InodeAtWork& work) {
  const MutableBytes area = work.raw.subspan(offsetof(ext2_inode, i_block), EXT2_N_BLOCKS * sizeof(uint32_t));
  if (work.inode().uses_extents()) {
    // Nothing makes such a list; it has no holes to put in.
    std::ranges::fill(area, std::byte{0});
    work.set_flags(work.inode().base().i_flags & ~uint32_t{EXT4_EXTENTS_FL});
  } else {
    RunList before;
    MapWalker(work.round.fs()).walk(work.inode(), before);
    ListRepair repair(work, std::move(before.nodes));
    if (auto r = repair.clear_pointers(area.first(EXT2_NDIR_BLOCKS * sizeof(uint32_t)), 0); !r) return r;
    for (unsigned level = 1; level <= kMostLevels; ++level)
      if (auto r =
              repair.clear_pointers(area.subspan((EXT2_NDIR_BLOCKS + level - 1) * sizeof(uint32_t), sizeof(uint32_t)), level);
          !r)
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
