#include "scan/map/misplaced_directory.h"

#include <algorithm>
#include <array>
#include <vector>

#include "scan/format/dir_block.h"
#include "scan/format/extent.h"

namespace extscrub {

namespace {

// The block behind the first entry of an extent tree's root, if that is a leaf.
BlockNo first_extent(Bytes area) {
  const auto header = load<ext3_extent_header>(area);
  const auto extent = load<ext3_extent>(area, sizeof header);
  if (header.eh_magic != EXT3_EXT_MAGIC || header.eh_depth != 0 || header.eh_entries == 0 || extent.ee_block != 0) return {};
  return run_of(extent).physical;
}

// `.` naming the inode itself, then `..`.
bool holds_own_entries(Bytes block, uint32_t block_size, InodeNo self) {
  EntryWalk walk(block, block_size);
  const auto dot = walk.next();
  if (!dot || dot->name != "." || dot->inode != self) return false;
  const auto dotdot = walk.next();
  return dotdot && dotdot->name == "..";
}

// Inline data that begins with the number of the parent, and then entries that fill i_block.
bool is_inline_directory(const Geometry& g, const Inode& inode) {
  const Bytes area = inode.block_area();
  if (!g.valid_inode(InodeNo(load<uint32_t>(area)))) return false;
  EntryWalk walk(area.subspan(EXT4_INLINE_DATA_DOTDOT_SIZE), g.block_size);
  while (walk.next()) {
  }
  return !walk.broken();
}

bool is_inline(const Geometry& g, const Inode& inode) {
  return inode.is(EXT4_INLINE_DATA_FL) && g.has_incompat(EXT4_FEATURE_INCOMPAT_INLINE_DATA);
}

// Everything in i_block can be the number of a block; and there is more of it than a device's numbers, which take at most
// four words and are no extent tree.
bool can_be_map(const Geometry& g, const Inode& inode) {
  if (inode.uses_extents()) return true;
  const auto blocks = load<std::array<uint32_t, EXT2_N_BLOCKS>>(inode.block_area());
  if (!std::ranges::all_of(blocks, [&](uint32_t block) { return block == 0 || g.contains(BlockNo(block)); })) return false;
  const bool device = inode.type() == FileType::character || inode.type() == FileType::block;
  const bool short_map = std::all_of(blocks.begin() + 4, blocks.end(), [](uint32_t block) { return block == 0; });
  return !device || inode.base().i_links_count != 1 || !short_map;
}

}  // namespace

bool is_root_astray(const Inode& inode) {
  return inode.number().value == EXT2_ROOT_INO && (inode.type() != FileType::directory || inode.base().i_links_count == 0);
}

bool begins_like_directory(const FileSystem& fs, const Inode& inode) {
  const Geometry& g = fs.geometry;
  if (is_inline(g, inode)) return is_inline_directory(g, inode);
  const BlockNo first = inode.uses_extents() ? first_extent(inode.block_area()) : BlockNo(load<uint32_t>(inode.block_area()));
  if (!first || !g.contains(first)) return false;
  std::vector<std::byte> block(g.block_size);
  return fs.blocks->read(first, block) && holds_own_entries(block, g.block_size, inode.number());
}

bool is_misplaced_directory(const FileSystem& fs, const Inode& inode) {
  const FileType type = inode.type();
  if (type == FileType::directory || type == FileType::regular || type == FileType::symlink) return false;
  return (is_inline(fs.geometry, inode) || can_be_map(fs.geometry, inode)) && begins_like_directory(fs, inode);
}

}  // namespace extscrub
