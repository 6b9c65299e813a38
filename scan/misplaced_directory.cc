#include "scan/misplaced_directory.h"

#include <array>
#include <vector>

#include "scan/dir_block.h"
#include "scan/extent.h"

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
bool begins_like_directory(Bytes block, uint32_t block_size, InodeNo self) {
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
  while (walk.next()) {}
  return !walk.broken();
}

}  // namespace

bool is_misplaced_directory(const FileSystem& fs, const Inode& inode) {
  const Geometry& g = fs.geometry;
  const FileType type = inode.type();
  if (type == FileType::directory || type == FileType::regular || type == FileType::symlink) return false;
  if (inode.is(EXT4_INLINE_DATA_FL) && g.has_incompat(EXT4_FEATURE_INCOMPAT_INLINE_DATA)) return is_inline_directory(g, inode);
  const auto blocks = load<std::array<uint32_t, EXT2_N_BLOCKS>>(inode.block_area());
  if (blocks[0] == 0) return false;
  BlockNo first(blocks[0]);
  bool no_device = inode.uses_extents();  // those are never extent-mapped, and have at most four words
  if (inode.uses_extents()) {
    first = first_extent(inode.block_area());
  } else {
    for (size_t i = 0; i < blocks.size(); ++i) {
      if (blocks[i] == 0) continue;
      if (!g.contains(BlockNo(blocks[i]))) return false;
      no_device = no_device || i >= 4;
    }
  }
  const bool device = type == FileType::character || type == FileType::block;
  if ((device && inode.base().i_links_count == 1 && !no_device) || !first || !g.contains(first)) return false;
  std::vector<std::byte> block(g.block_size);
  return fs.blocks->read(first, block) && begins_like_directory(block, g.block_size, inode.number());
}

}  // namespace extscrub
