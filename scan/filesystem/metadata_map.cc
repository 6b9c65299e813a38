#include "scan/filesystem/metadata_map.h"

#include <algorithm>

namespace extscrub {

std::string_view name(MetadataKind kind) {
  switch (kind) {
    case MetadataKind::superblock: return "superblock";
    case MetadataKind::descriptors: return "group descriptors";
    case MetadataKind::block_bitmap: return "block bitmap";
    case MetadataKind::inode_bitmap: return "inode bitmap";
    case MetadataKind::inode_table: return "inode table";
    case MetadataKind::mmp: return "multiple-mount protection block";
  }
  return "";
}

bool valid_location(const Geometry& g, GroupNo group, BlockNo first, uint32_t count) {
  if (!first || !g.contains(first, count)) return false;
  if (g.has_incompat(EXT4_FEATURE_INCOMPAT_FLEX_BG)) return true;
  return first >= g.group_first(group) && first + count <= g.group_first(group) + g.group_blocks(group);
}

MetadataMap MetadataMap::build(const Geometry& g, const std::vector<GroupDesc>& groups, BlockNo mmp_block) {
  MetadataMap map;
  auto& extents = map.extents_;
  extents.reserve(size_t{g.groups} * 3 + 64);
  for (GroupNo group; group.value < g.groups; ++group) {
    const uint32_t fixed = g.super_and_desc_blocks(group);
    const bool super = g.has_super(group);
    const BlockNo first = super ? g.super_block(group) : g.group_first(group);
    if (super) extents.push_back({first, 1, group, MetadataKind::superblock});
    const uint32_t desc = std::min<uint64_t>(fixed - super, g.blocks - (first + super).value);
    if (desc > 0) extents.push_back({first + super, desc, group, MetadataKind::descriptors});

    const GroupDesc& d = groups[group.value];
    const auto add = [&](BlockNo at, uint32_t count, MetadataKind kind) {
      if (valid_location(g, group, at, count)) extents.push_back({at, count, group, kind});
    };
    add(d.block_bitmap, 1, MetadataKind::block_bitmap);
    add(d.inode_bitmap, 1, MetadataKind::inode_bitmap);
    add(d.inode_table, g.itable_blocks, MetadataKind::inode_table);
  }
  if (mmp_block && g.contains(mmp_block)) extents.push_back({mmp_block, 1, g.group_of(mmp_block), MetadataKind::mmp});
  std::ranges::sort(extents, {}, [](const MetadataExtent& e) { return std::tuple(e.first, e.kind, e.group); });

  const MetadataExtent* longest = nullptr;  // of those before, the one that reaches farthest
  for (const auto& e : extents) {
    if (longest && e.first < longest->end()) map.overlaps_.push_back({*longest, e, e.first});
    if (!longest || e.end() > longest->end()) longest = &e;
  }
  return map;
}

const MetadataExtent* MetadataMap::find(BlockNo block) const {
  auto it = std::ranges::upper_bound(extents_, block, {}, &MetadataExtent::first);
  // Overlapping extents may hide a longer one behind shorter ones; they are few, so a short walk back finds it.
  for (int steps = 0; it != extents_.begin() && steps < 8; ++steps) {
    --it;
    if (block < it->end()) return &*it;
    if (overlaps_.empty()) break;
  }
  return nullptr;
}

}  // namespace extscrub
