// The walk of an indirect map: twelve block numbers in the inode, then one singly, one doubly and one triply indirect
// block. A zero is a hole.
#include <array>
#include <utility>

#include "scan/map/block_map.h"

namespace extscrub {

namespace {

constexpr uint32_t kLongestRange = 1u << 20;  // blocks

}  // namespace

void MapWalker::walk_indirect() {
  const auto blocks = load<std::array<uint32_t, EXT2_N_BLOCKS>>(inode_->block_area());
  pending_ = {};
  uint64_t logical = 0;
  for (; logical < EXT2_NDIR_BLOCKS; ++logical) map_block(BlockNo(blocks[logical]), logical, BlockNo());
  const uint64_t per_block = fs_.geometry.block_size / sizeof(uint32_t);
  uint64_t span = per_block;
  for (unsigned level = 1; level <= 3; ++level) {
    if (const BlockNo node(blocks[EXT2_NDIR_BLOCKS + level - 1]); node) walk_indirect_node(node, level, logical);
    logical += span;
    span *= per_block;
  }
  flush_run();
}

// `level`: 1 for a block of data block numbers. `logical`: the first block the node can map.
void MapWalker::walk_indirect_node(BlockNo block, unsigned level, uint64_t logical) {
  flush_run();
  const std::byte* data = enter_node(block, BlockNo(), logical, level);
  if (!data) return;
  map_.depth = std::max<uint16_t>(map_.depth, static_cast<uint16_t>(level));
  const Bytes node(data, fs_.geometry.block_size);
  const uint64_t per_block = node.size() / sizeof(uint32_t);
  uint64_t span = 1;
  for (unsigned i = 1; i < level; ++i) span *= per_block;
  for (uint64_t i = 0; level > 1 && i < per_block; ++i)
    if (const BlockNo child(load<uint32_t>(node, i * sizeof(uint32_t))); child) prefetch(child);
  for (uint64_t i = 0; i < per_block; ++i, logical += span) {
    const BlockNo child(load<uint32_t>(node, i * sizeof(uint32_t)));
    if (level == 1)
      map_block(child, logical, block);
    else if (child)
      walk_indirect_node(child, level - 1, logical);
  }
}

void MapWalker::map_block(BlockNo block, uint64_t logical, BlockNo node) {
  if (!block) return;
  if (!fs_.geometry.contains(block)) return defect(MapDefectKind::out_of_range, node, logical, block);
  if (logical >= logical_limit(fs_.geometry, *inode_))
    defect(MapDefectKind::too_far, node, logical, block, logical_limit(fs_.geometry, *inode_), logical);
  const uint64_t mask = (uint64_t{1} << fs_.geometry.cluster_bits) - 1;
  const bool by_block = inode_->number().value == EXT2_RESIZE_INO || inode_->number().value == EXT2_BAD_INO;
  if (!by_block && (block.value ^ logical) & mask)
    defect(MapDefectKind::cluster, node, logical, block, logical & mask, block.value & mask);
  if (pending_.count > 0 && block == pending_.physical + pending_.count && logical == pending_.logical + pending_.count &&
      pending_.count < kLongestRange) {
    ++pending_.count;
    return;
  }
  flush_run();
  pending_ = {logical, block, 1, false};
}

void MapWalker::flush_run() {
  if (pending_.count > 0) take_run(std::exchange(pending_, Run{}));
}

}  // namespace extscrub
