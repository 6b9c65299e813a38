#include "scan/map/bad_blocks.h"

#include <algorithm>
#include <optional>

#include "scan/filesystem/inode_table.h"
#include "scan/map/block_map.h"

namespace extscrub {

bool must_be_good(const FileSystem& fs, BlockNo block) {
  const MetadataExtent* extent = fs.metadata.find(block);
  if (extent == nullptr) return false;
  switch (extent->kind) {
    case MetadataKind::superblock: return extent->group.value == 0;
    case MetadataKind::descriptors: return extent->group.value == 0 || fs.geometry.has_incompat(EXT2_FEATURE_INCOMPAT_META_BG);
    case MetadataKind::inode_table:
    case MetadataKind::mmp: return true;
    case MetadataKind::block_bitmap:
    case MetadataKind::inode_bitmap: return false;
  }
  return false;
}

namespace {

// Whether e2fsck has given up a block of an inode table: all its inodes are marked as used, and one at least is not in use. Asked
// in the order of the blocks, it reads each block and each group's bitmap once.
class GivenUp {
 public:
  explicit GivenUp(const FileSystem& fs) : fs_(fs), bitmap_(fs.geometry.block_size), table_(fs.geometry.block_size) {}

  bool operator()(BlockNo block) {
    if (block != last_) answer_ = judge(block), last_ = block;
    return answer_;
  }

 private:
  bool judge(BlockNo block) {
    const Geometry& g = fs_.geometry;
    const MetadataExtent* extent = fs_.metadata.find(block);
    if (extent == nullptr || extent->kind != MetadataKind::inode_table) return false;
    const uint32_t per_block = g.block_size / g.inode_size;
    const uint32_t first = static_cast<uint32_t>(block - extent->first) * per_block;
    const GroupNo group = extent->group;
    const bool reserved = group.value == 0 && first < EXT2_JOURNAL_INO;  // the root and the journal among them
    if (reserved || !load_bitmap(group) || !fs_.blocks->read(block, table_)) return false;
    bool empty = false;
    for (uint32_t i = 0; i < per_block && first + i < g.inodes_per_group; ++i) {
      if (!test_bit(bitmap_, first + i)) return false;
      const Bytes raw = Bytes(table_).subspan(size_t{i} * g.inode_size, g.inode_size);
      empty = empty || Inode(g, g.group_first_inode(group) + (first + i), raw).base().i_links_count == 0;
    }
    return empty;
  }

  bool load_bitmap(GroupNo group) {
    if (group != group_) {
      group_ = group;
      const BlockNo at = fs_.groups[group.value].inode_bitmap;
      has_bitmap_ = valid_location(fs_.geometry, group, at, 1) && fs_.blocks->read(at, bitmap_);
    }
    return has_bitmap_;
  }

  const FileSystem& fs_;
  std::vector<std::byte> bitmap_, table_;
  std::optional<GroupNo> group_;  // whose bitmap is loaded, where it has one
  bool has_bitmap_ = false;
  std::optional<BlockNo> last_;
  bool answer_ = false;  // about `last_`
};

}  // namespace

BadBlocks read_bad_blocks(const FileSystem& fs) {
  std::vector<std::byte> raw(fs.geometry.inode_size);
  const InodeNo ino(EXT2_BAD_INO);
  if (!read_inode(fs, ino, raw)) return {};
  const Inode inode(fs.geometry, ino, raw);
  if (inode.block_area_is_blank()) return {};
  RunList list;
  MapWalker(fs).walk(inode, list);
  std::vector<BlockNo> all;
  for (const Run& run : list.runs)
    for (uint32_t i = 0; i < run.count; ++i) all.push_back(run.physical + i);
  std::ranges::sort(all);
  std::ranges::sort(list.nodes);
  BadBlocks blocks;
  const auto is_again = [&](BlockNo block) {
    return std::ranges::binary_search(list.nodes, block) || (!blocks.listed.empty() && blocks.listed.back() == block);
  };
  GivenUp is_given_up(fs);
  for (const BlockNo block : all)
    if (is_again(block))
      blocks.again.push_back(block);
    else
      (must_be_good(fs, block) && !is_given_up(block) ? blocks.in_metadata : blocks.listed).push_back(block);
  return blocks;
}

}  // namespace extscrub
