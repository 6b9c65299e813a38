// Which blocks hold the file system's own structures, in order, and which structures were laid over each other.
// Immutable after build(): any thread.
#pragma once

#include <optional>
#include <vector>

#include "scan/format/geometry.h"
#include "scan/format/group_desc.h"

namespace extscrub {

enum class MetadataKind : uint8_t { superblock, descriptors, block_bitmap, inode_bitmap, inode_table, mmp };

[[nodiscard]] std::string_view name(MetadataKind kind);

struct MetadataExtent {
  BlockNo first;
  uint32_t count = 0;  // blocks
  GroupNo group;
  MetadataKind kind{};
  [[nodiscard]] BlockNo end() const { return first + count; }
};

struct MetadataOverlap {
  MetadataExtent a, b;  // a begins first
  BlockNo block;        // the first block both name
};

class MetadataMap {
 public:
  // Takes the descriptors' locations that lie inside the file system; the others are left out. `mmp_block`: 0 for none.
  [[nodiscard]] static MetadataMap build(const Geometry& geometry, const std::vector<GroupDesc>& groups, BlockNo mmp_block);

  [[nodiscard]] const std::vector<MetadataExtent>& extents() const { return extents_; }    // by first block
  [[nodiscard]] const std::vector<MetadataOverlap>& overlaps() const { return overlaps_; }
  // What lies on the block; nothing when it is not metadata.
  [[nodiscard]] const MetadataExtent* find(BlockNo block) const;

 private:
  std::vector<MetadataExtent> extents_;
  std::vector<MetadataOverlap> overlaps_;
};

// Where the descriptor says that its bitmap or inode table lies.
[[nodiscard]] inline BlockNo& place_in(GroupDesc& d, MetadataKind kind) {
  return kind == MetadataKind::block_bitmap   ? d.block_bitmap
         : kind == MetadataKind::inode_bitmap ? d.inode_bitmap
                                              : d.inode_table;
}
[[nodiscard]] inline const BlockNo& place_in(const GroupDesc& d, MetadataKind kind) {
  return kind == MetadataKind::block_bitmap   ? d.block_bitmap
         : kind == MetadataKind::inode_bitmap ? d.inode_bitmap
                                              : d.inode_table;
}

// Whether the descriptor's structure lies where this group may have it: inside the file system, and inside the group
// unless flex_bg is on.
[[nodiscard]] bool valid_location(const Geometry& geometry, GroupNo group, BlockNo first, uint32_t count);

}  // namespace extscrub
