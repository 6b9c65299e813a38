#include "audit/stage/group_editor.h"

#include <fmt/format.h>

#include "scan/format/checksum.h"

namespace extscrub {

namespace {

void clear_bit(MutableBytes bits, uint64_t at) { bits[at / 8] &= ~std::byte(1u << at % 8); }

bool bitmap_sound(const FileSystem& fs, BlockNo at, uint32_t bits, uint32_t stored) {
  std::vector<std::byte> block(fs.geometry.block_size);
  if (!fs.blocks->read(at, block)) return false;
  return !fs.geometry.metadata_csum() || bitmap_checksum(fs.geometry, block, bits) == stored;
}

}  // namespace

GroupEditor::Group& GroupEditor::group(GroupNo number) {
  const auto [it, added] = groups_.try_emplace(number);
  Group& group = it->second;
  if (!added) return group;
  const Geometry& g = fs_.geometry;
  group.desc = fs_.groups[number.value];
  const GroupDesc& d = group.desc;
  if (!d.readable || !d.checksum_ok) return group;
  group.blocks_sound = valid_location(g, number, d.block_bitmap, 1) && !(g.group_csum() && d.block_uninit()) &&
                       bitmap_sound(fs_, d.block_bitmap, g.clusters_per_group, d.block_bitmap_csum);
  group.inodes_sound = valid_location(g, number, d.inode_bitmap, 1) && !(g.group_csum() && d.inode_uninit()) &&
                       bitmap_sound(fs_, d.inode_bitmap, g.inodes_per_group, d.inode_bitmap_csum);
  return group;
}

bool GroupEditor::in_use(InodeNo ino) {
  const Geometry& g = fs_.geometry;
  const GroupNo number = g.group_of(ino);
  const Group& group = this->group(number);
  if (!group.inodes_sound) return false;
  std::vector<std::byte> block(g.block_size);
  return overlay_.read(group.desc.inode_bitmap, block) && test_bit(block, ino - g.group_first_inode(number));
}

Result<bool> GroupEditor::free_blocks(BlockNo first, uint64_t count) {
  const Geometry& g = fs_.geometry;
  bool whole = true;
  const BlockNo end = first + count;
  while (first < end) {
    const GroupNo number = g.group_of(first);
    const BlockNo group_end = g.group_first(number) + g.group_blocks(number);
    const BlockNo stop = std::min(end, group_end);
    Group& group = this->group(number);
    if (!group.blocks_sound) {
      whole = false;
    } else {
      auto bits = overlay_.edit(group.desc.block_bitmap);
      if (!bits) return std::unexpected(bits.error());
      const uint64_t last = (stop.value - 1 - g.group_first(number).value) >> g.cluster_bits;
      for (uint64_t c = (first - g.group_first(number)) >> g.cluster_bits; c <= last; ++c) {
        if (!test_bit(*bits, c)) continue;
        clear_bit(*bits, c);
        ++group.desc.free_clusters;
      }
      group.blocks_touched = true;
    }
    first = stop;
  }
  return whole;
}

Result<bool> GroupEditor::free_inode(InodeNo ino, bool directory) {
  const Geometry& g = fs_.geometry;
  const GroupNo number = g.group_of(ino);
  Group& group = this->group(number);
  if (!group.inodes_sound) return false;
  auto bits = overlay_.edit(group.desc.inode_bitmap);
  if (!bits) return std::unexpected(bits.error());
  const uint32_t at = ino - g.group_first_inode(number);
  if (!test_bit(*bits, at)) return true;
  clear_bit(*bits, at);
  ++group.desc.free_inodes;
  if (directory && group.desc.used_dirs > 0) --group.desc.used_dirs;
  group.inodes_touched = true;
  return true;
}

Result<void> GroupEditor::finish() {
  const Geometry& g = fs_.geometry;
  std::vector<std::byte> block(g.block_size);
  for (auto& [number, group] : groups_) {
    if (!group.blocks_touched && !group.inodes_touched) continue;
    if (group.blocks_touched && g.metadata_csum()) {
      if (auto r = overlay_.read(group.desc.block_bitmap, block); !r) return r;
      group.desc.block_bitmap_csum = bitmap_checksum(g, block, g.clusters_per_group);
    }
    if (group.inodes_touched && g.metadata_csum()) {
      if (auto r = overlay_.read(group.desc.inode_bitmap, block); !r) return r;
      group.desc.inode_bitmap_csum = bitmap_checksum(g, block, g.inodes_per_group);
    }
    auto descriptors = overlay_.edit(g.desc_block(number.value / g.desc_per_block, GroupNo()));
    if (!descriptors) return std::unexpected(descriptors.error());
    encode_group_desc(g, fs_.super, number, group.desc,
                      descriptors->subspan(size_t{number.value % g.desc_per_block} * g.desc_size, g.desc_size));
  }
  return {};
}

}  // namespace extscrub
