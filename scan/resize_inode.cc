#include "scan/resize_inode.h"

#include <fmt/format.h>

#include <algorithm>

#include "scan/inode.h"
#include "scan/inode_table.h"

namespace extscrub {

namespace {

// The groups after the first that hold copies of the superblock, and so of the reserved blocks.
std::vector<GroupNo> backup_groups(const Geometry& g) {
  std::vector<GroupNo> groups;
  for (GroupNo group(1); group.value < g.groups; ++group)
    if (g.has_super(group)) groups.push_back(group);
  return groups;
}

ResizeInodeFacts wrong(std::string what, BlockNo block = {}, uint64_t expected = 0, uint64_t found = 0) {
  return {std::move(what), block, fmt::to_string(expected), fmt::to_string(found)};
}

ResizeInodeFacts check_map(const FileSystem& fs, BlockNo dind) {
  const Geometry& g = fs.geometry;
  const uint32_t per_block = g.block_size / sizeof(uint32_t);
  std::vector<std::byte> list(g.block_size), copies(g.block_size);
  if (!fs.blocks->read(dind, list)) return wrong("its doubly indirect block cannot be read", dind);
  const std::vector<GroupNo> backups = backup_groups(g);
  // The reserved blocks begin behind the descriptors in use; the list is indexed by descriptor block.
  for (uint32_t i = 0; i < g.reserved_gdt_blocks; ++i) {
    const uint64_t reserved = (g.super_block(GroupNo()) + 1 + g.desc_blocks + i).value;
    const uint32_t slot = (g.desc_blocks + i) % per_block;
    const auto listed = load<uint32_t>(list, slot * sizeof(uint32_t));
    // e2fsck holds the first quarter of the list to it; holes behind that come from old mke2fs and resize2fs.
    if (listed == 0 && i >= g.reserved_gdt_blocks / 4) continue;
    if (listed != reserved) return wrong("it does not list a reserved block", dind, reserved, listed);
    if (!g.contains(BlockNo(reserved)) || !fs.blocks->read(BlockNo(reserved), copies))
      return wrong("a reserved block cannot be read", BlockNo(reserved));
    for (size_t b = 0; b < backups.size() && b < per_block; ++b) {
      const uint64_t copy = reserved + uint64_t{backups[b].value} * g.blocks_per_group;
      const auto found = load<uint32_t>(copies, b * sizeof(uint32_t));
      if (found != copy) return wrong("a reserved block does not list its copy in a backup group", BlockNo(reserved), copy, found);
    }
  }
  return {};
}

}  // namespace

ResizeInodeFacts read_resize_inode(const FileSystem& fs) {
  const Geometry& g = fs.geometry;
  std::vector<std::byte> raw(g.inode_size);
  if (!read_inode(fs, InodeNo(EXT2_RESIZE_INO), raw)) return {};  // its group's descriptor is a finding already
  const Inode inode(g, InodeNo(EXT2_RESIZE_INO), raw);
  const auto blocks = load<std::array<uint32_t, EXT2_N_BLOCKS>>(inode.block_area());
  const bool any = std::ranges::any_of(blocks, [](uint32_t b) { return b != 0; });
  if (!g.has_compat(EXT2_FEATURE_COMPAT_RESIZE_INODE)) return any ? wrong("it has blocks without the feature") : ResizeInodeFacts{};

  const BlockNo dind(blocks[EXT2_DIND_BLOCK]);
  for (size_t i = 0; i < blocks.size(); ++i)
    if (i != EXT2_DIND_BLOCK && blocks[i] != 0) return wrong("it maps more than its doubly indirect block", BlockNo(blocks[i]), 0, blocks[i]);
  if (!g.contains(dind)) return wrong("its doubly indirect block is not in the file system", dind);
  if (inode.type() != FileType::regular || inode.base().i_links_count == 0) return wrong("it is no regular file in use");
  return check_map(fs, dind);
}

}  // namespace extscrub
