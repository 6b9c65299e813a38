#include "scan/map/resize_inode.h"

#include <fmt/format.h>

#include <algorithm>

#include "scan/filesystem/inode_table.h"
#include "scan/format/inode.h"

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
  return {std::move(what), block, fmt::to_string(expected), fmt::to_string(found), {}};
}

// The list of reserved blocks, and what they list themselves.
class ReservedList {
 public:
  ReservedList(const FileSystem& fs, BlockNo dind, Bytes list)
      : fs_(fs), g_(fs.geometry), dind_(dind), list_(list), backups_(backup_groups(fs.geometry)),
        copies_(fs.geometry.block_size) {}

  ResizeInodeFacts check() {
    if (const auto n = count(); n && contradicts(*n)) return {{}, {}, {}, {}, n};
    for (uint32_t i = 0; i < per_block(); ++i) {
      const uint64_t found = listed(i);
      if (i >= g_.reserved_gdt_blocks && found != 0) return wrong("it lists a block that is not reserved", dind_, 0, found);
      // e2fsck holds the first quarter of the list to it; holes behind that come from old mke2fs and resize2fs.
      if (i >= g_.reserved_gdt_blocks || (found == 0 && i >= g_.reserved_gdt_blocks / 4)) continue;
      if (found != reserved(i)) return wrong("it does not list a reserved block", dind_, reserved(i), found);
      if (ResizeInodeFacts facts = check_copies(reserved(i)); !facts.problem.empty()) return facts;
    }
    return {};
  }

 private:
  [[nodiscard]] uint32_t per_block() const { return g_.block_size / sizeof(uint32_t); }
  // The reserved blocks begin behind the descriptors in use; the list is indexed by descriptor block.
  [[nodiscard]] uint64_t reserved(uint32_t i) const { return (g_.super_block(GroupNo()) + 1 + g_.desc_blocks + i).value; }
  [[nodiscard]] uint32_t listed(uint32_t i) const {
    return load<uint32_t>(list_, (g_.desc_blocks + i) % per_block() * sizeof(uint32_t));
  }

  ResizeInodeFacts check_copies(uint64_t block) {
    if (!g_.contains(BlockNo(block)) || !fs_.blocks->read(BlockNo(block), copies_))
      return wrong("a reserved block cannot be read", BlockNo(block));
    for (size_t b = 0; b < backups_.size() && b < per_block(); ++b) {
      const uint64_t copy = block + uint64_t{backups_[b].value} * g_.blocks_per_group;
      const auto found = load<uint32_t>(copies_, b * sizeof(uint32_t));
      if (found != copy) return wrong("a reserved block does not list its copy in a backup group", BlockNo(block), copy, found);
    }
    return {};
  }

  // How many reserved blocks there are by the list; nothing when it has a mistake.
  std::optional<uint32_t> count() {
    uint32_t n = 0;
    while (n < per_block() && listed(n) == reserved(n) && check_copies(reserved(n)).problem.empty()) ++n;
    for (uint32_t i = n; i < per_block(); ++i)
      if (listed(i) != 0) return {};
    return n;
  }

  // A shorter list may have come about otherwise, unless the blocks behind it are something else.
  [[nodiscard]] bool contradicts(uint32_t n) const {
    const auto on_reserved = [](const MetadataOverlap& o) {
      return o.a.kind == MetadataKind::descriptors || o.b.kind == MetadataKind::descriptors;
    };
    if (n < g_.reserved_gdt_blocks) return n > 0 && std::ranges::any_of(fs_.metadata.overlaps(), on_reserved);
    return n > g_.reserved_gdt_blocks;
  }

  const FileSystem& fs_;
  const Geometry& g_;
  BlockNo dind_;
  Bytes list_;
  std::vector<GroupNo> backups_;
  std::vector<std::byte> copies_;
};

ResizeInodeFacts check_map(const FileSystem& fs, BlockNo dind) {
  std::vector<std::byte> list(fs.geometry.block_size);
  if (!fs.blocks->read(dind, list)) return wrong("its doubly indirect block cannot be read", dind);
  return ReservedList(fs, dind, list).check();
}

}  // namespace

ResizeInodeFacts read_resize_inode(const FileSystem& fs) {
  const Geometry& g = fs.geometry;
  std::vector<std::byte> raw(g.inode_size);
  if (!read_inode(fs, InodeNo(EXT2_RESIZE_INO), raw)) return {};  // its group's descriptor is a finding already
  const Inode inode(g, InodeNo(EXT2_RESIZE_INO), raw);
  const auto blocks = load<std::array<uint32_t, EXT2_N_BLOCKS>>(inode.block_area());
  const bool any = std::ranges::any_of(blocks, [](uint32_t b) { return b != 0; });
  if (!g.has_compat(EXT2_FEATURE_COMPAT_RESIZE_INODE))
    return any ? wrong("it has blocks without the feature") : ResizeInodeFacts{};

  const BlockNo dind(blocks[EXT2_DIND_BLOCK]);
  for (size_t i = 0; i < blocks.size(); ++i)
    if (i != EXT2_DIND_BLOCK && blocks[i] != 0)
      return wrong("it maps more than its doubly indirect block", BlockNo(blocks[i]), 0, blocks[i]);
  if (!g.contains(dind)) return wrong("its doubly indirect block is not in the file system", dind);
  if (inode.type() != FileType::regular || inode.base().i_links_count == 0) return wrong("it is no regular file in use");
  for (const uint32_t flag : {EXT2_INDEX_FL, EXT4_EXTENTS_FL, EXT4_INLINE_DATA_FL})
    if (inode.is(flag)) return wrong("a flag says that its map is something else", {}, 0, inode.base().i_flags);
  return check_map(fs, dind);
}

}  // namespace extscrub
