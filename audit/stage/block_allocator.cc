#include "audit/stage/block_allocator.h"

#include <algorithm>

namespace extscrub {

BlockAllocator::Bits& BlockAllocator::taken(GroupNo group) {
  const auto [it, fresh] = taken_.try_emplace(group);
  Bits& bits = it->second;
  if (!fresh) return bits;
  const Geometry& g = fs_.geometry;
  bits.resize(g.clusters(group));
  for (uint32_t i = 0; i < bits.size(); ++i) bits[i] = scan_.claims.test(group, i);
  for (const BlockNo bad : fs_.bad_blocks)
    if (g.contains(bad) && g.group_of(bad) == group) bits[g.cluster_in_group(bad)] = true;

  const GroupDesc& desc = fs_.groups[group.value];
  const bool stored = !(g.group_csum() && desc.block_uninit()) && valid_location(g, group, desc.block_bitmap, 1);
  std::vector<std::byte> bitmap(g.block_size);
  if (believe_scan_ || !stored || !fs_.blocks->read(desc.block_bitmap, bitmap)) return bits;
  for (uint32_t i = 0; i < bits.size() && i / 8 < bitmap.size(); ++i) bits[i] = bits[i] || test_bit(bitmap, i);
  return bits;
}

std::optional<BlockNo> BlockAllocator::find_in(GroupNo group, uint32_t from, uint32_t clusters, bool reuse) {
  Bits& bits = taken(group);
  uint32_t free = 0;
  for (uint32_t i = from; i < bits.size(); ++i) {
    free = bits[i] || (!reuse && used_before_->test(group, i)) ? 0 : free + 1;
    if (free < clusters) continue;
    const uint32_t first = i + 1 - clusters;
    std::fill_n(bits.begin() + first, clusters, true);
    return fs_.geometry.group_first(group) + (uint64_t{first} << fs_.geometry.cluster_bits);
  }
  return {};
}

std::optional<BlockNo> BlockAllocator::allocate(BlockNo goal) { return allocate_run(goal, 1); }

std::optional<BlockNo> BlockAllocator::allocate_run(BlockNo goal, uint32_t count, std::optional<GroupNo> within) {
  const Geometry& g = fs_.geometry;
  const auto clusters = static_cast<uint32_t>((uint64_t{count} + (1u << g.cluster_bits) - 1) >> g.cluster_bits);
  if (used_before_)
    if (auto found = find(goal, clusters, within, false)) return found;
  return find(goal, clusters, within, true);
}

std::optional<BlockNo> BlockAllocator::find(BlockNo goal, uint32_t clusters, std::optional<GroupNo> within, bool reuse) {
  const Geometry& g = fs_.geometry;
  if (within) return find_in(*within, 0, clusters, reuse);
  if (!g.contains(goal)) goal = BlockNo(g.first_data_block);
  const GroupNo first = g.group_of(goal);
  if (auto found = find_in(first, g.cluster_in_group(goal), clusters, reuse)) return found;
  for (uint32_t i = 0; i < g.groups; ++i)
    if (auto found = find_in(GroupNo((first.value + i) % g.groups), 0, clusters, reuse)) return found;
  return {};
}

bool BlockAllocator::was_used(BlockNo block) const { return !used_before_ || used_before_->test(fs_.geometry, block); }

void BlockAllocator::reserve(BlockNo first, uint64_t count) { mark(first, count, true); }

void BlockAllocator::release(BlockNo first, uint64_t count) { mark(first, count, false); }

void BlockAllocator::mark(BlockNo first, uint64_t count, bool used) {
  const Geometry& g = fs_.geometry;
  for (BlockNo b = first; b < first + count && g.contains(b); ++b) taken(g.group_of(b))[g.cluster_in_group(b)] = used;
}

}  // namespace extscrub
