#include "scan/map/block_map.h"

#include <algorithm>
#include <utility>

namespace extscrub {

namespace {

// Defects behind which blocks of the inode may hide.
bool hides_blocks(MapDefectKind kind) {
  switch (kind) {
    case MapDefectKind::header:
    case MapDefectKind::out_of_range:
    case MapDefectKind::metadata_node:
    case MapDefectKind::node_empty:
    case MapDefectKind::unreadable: return true;
    default: return false;
  }
}

}  // namespace

void VisitedBlocks::clear() {
  count_ = 0;
  if (!more_.empty()) more_.clear();
}

bool VisitedBlocks::insert(BlockNo block) {
  const auto end = few_.begin() + count_;
  if (std::find(few_.begin(), end, block) != end) return false;
  if (count_ == kFew) return more_.insert(block).second;
  few_[count_++] = block;
  return true;
}

void add_first_nodes(const Inode& inode, std::vector<BlockNo>& blocks) {
  const Bytes area = inode.block_area();
  if (!inode.uses_extents()) {
    const auto numbers = load<std::array<uint32_t, EXT2_N_BLOCKS>>(area);
    for (size_t i = EXT2_NDIR_BLOCKS; i < numbers.size(); ++i)
      if (numbers[i]) blocks.push_back(BlockNo(numbers[i]));
    return;
  }
  const auto header = load<ext3_extent_header>(area);
  if (header.eh_magic != EXT3_EXT_MAGIC || header.eh_depth == 0) return;
  const size_t room = (area.size() - sizeof header) / sizeof(ext3_extent_idx);
  for (size_t i = 0; i < std::min<size_t>(header.eh_entries, room); ++i)
    blocks.push_back(child_of(load<ext3_extent_idx>(area, sizeof header + i * sizeof(ext3_extent_idx))));
}

void add_first_block(const Inode& inode, std::vector<BlockNo>& blocks) {
  const Bytes area = inode.block_area();
  BlockNo block(load<uint32_t>(area));
  if (inode.uses_extents()) {
    const auto header = load<ext3_extent_header>(area);
    if (header.eh_magic != EXT3_EXT_MAGIC || header.eh_depth != 0 || header.eh_entries == 0) return;
    block = run_of(load<ext3_extent>(area, sizeof header)).physical;
  }
  if (block) blocks.push_back(block);
}

void MapWalker::prefetch(BlockNo block) const {
  if (prefetcher_ && fs_.geometry.contains(block))
    fs_.image->prefetch(block.value * fs_.geometry.block_size, fs_.geometry.block_size);
}

const BlockMap& MapWalker::walk(const Inode& inode, RunSink& sink) {
  inode_ = &inode;
  sink_ = &sink;
  map_.clusters = map_.data_blocks = 0;
  map_.last_logical = map_.last_written = -1;
  map_.depth = 0;
  map_.whole = true;
  map_.defects.clear();
  checksum_defects_ = other_defects_ = 0;
  visited_.clear();
  last_logical_cluster_ = last_physical_cluster_ = UINT64_MAX;
  if (inode.uses_extents())
    walk_extents();
  else
    walk_indirect();
  take_translator();
  const bool by_block = inode.number().value == EXT2_RESIZE_INO || inode.number().value == EXT2_BAD_INO;
  if (fs_.geometry.cluster_bits && !inode.uses_extents() && !by_block && map_.data_blocks > 0)
    defect(MapDefectKind::block_mapped, BlockNo(), 0, BlockNo());
  return map_;
}

// A file of the Hurd may have a passive translator: a block with the command that serves it.
void MapWalker::take_translator() {
  if (fs_.super.s_creator_os != EXT2_OS_HURD) return;
  const BlockNo block(inode_->base().osd1.hurd1.h_i_translator);
  if (!block) return;
  if (!fs_.geometry.contains(block)) return defect(MapDefectKind::translator, BlockNo(), 0, block);
  ++map_.clusters;
  sink_->node(block);
}

void MapWalker::take_run(const Run& run) {
  const uint32_t bits = fs_.geometry.cluster_bits;
  const uint64_t first_cluster = run.physical.value >> bits;
  const uint64_t last_cluster = (run.physical.value + run.count - 1) >> bits;
  const bool same_logical = bits && run.logical >> bits == last_logical_cluster_;
  const bool shares = same_logical && first_cluster == last_physical_cluster_;
  if (same_logical && !shares && inode_->number().value != EXT2_BAD_INO && inode_->number().value != EXT2_RESIZE_INO)
    defect(MapDefectKind::cluster, BlockNo(), run.logical, run.physical, last_physical_cluster_, first_cluster);
  map_.clusters += last_cluster - first_cluster + 1 - shares;
  map_.data_blocks += run.count;
  const auto last = static_cast<int64_t>(run.logical + run.count - 1);
  map_.last_logical = std::max(map_.last_logical, last);
  if (!run.unwritten) map_.last_written = std::max(map_.last_written, last);
  last_logical_cluster_ = static_cast<uint64_t>(last) >> bits;
  last_physical_cluster_ = last_cluster;
  sink_->data(run, shares);
}

const std::byte* MapWalker::enter_node(BlockNo block, BlockNo parent, uint64_t logical, unsigned level) {
  const auto refuse = [&](MapDefectKind kind) {
    defect(kind, parent, logical, block);
    if (!inode_->uses_extents()) map_.defects.back().count = uint64_t{1} << level * (fs_.geometry.block_bits - 2);
    return nullptr;
  };
  if (!fs_.geometry.contains(block)) return refuse(MapDefectKind::out_of_range);
  if (const MetadataExtent* m = fs_.metadata.find(block)) {
    // The resize inode's indirect blocks are the blocks reserved for group descriptors: that is what it is for.
    if (inode_->number().value != EXT2_RESIZE_INO || m->kind != MetadataKind::descriptors)
      return refuse(MapDefectKind::metadata_node);
  }
  if (!visited_.insert(block)) return refuse(MapDefectKind::loop);
  const std::byte* bytes = prefetcher_ ? prefetcher_->find(block) : nullptr;
  if (!bytes) {
    auto& buffer = buffers_[level];
    if (!buffer) buffer = std::make_unique_for_overwrite<std::byte[]>(fs_.geometry.block_size);
    if (!fs_.blocks->read(block, MutableBytes(buffer.get(), fs_.geometry.block_size))) return refuse(MapDefectKind::unreadable);
    bytes = buffer.get();
  }
  bytes_read_ += fs_.geometry.block_size;
  ++map_.clusters;
  sink_->node(block);
  return bytes;
}

void MapWalker::defect(MapDefectKind kind, BlockNo node, uint64_t logical, BlockNo block, uint64_t expected, uint64_t found) {
  if (hides_blocks(kind)) map_.whole = false;
  // Apart, because an inode whose only defects are checksums can be sealed.
  size_t& kept = kind == MapDefectKind::checksum ? checksum_defects_ : other_defects_;
  if (kept == kMostMapDefects) return;
  ++kept;
  map_.defects.push_back({kind, node, logical, block, expected, found, 1});
}

uint64_t logical_limit(const Geometry& g, const Inode& inode) {
  switch (inode.type()) {
    case FileType::directory:
      // 2 GiB without large_dir.
      if (!g.has_incompat(EXT4_FEATURE_INCOMPAT_LARGEDIR)) return (uint64_t{1} << (31 - g.block_bits)) + 1;
      break;
    case FileType::symlink:
      if (!inode.uses_extents()) return 1;
      break;
    default: break;
  }
  return UINT32_MAX;  // ee_block has 32 bits, and the block behind the last one needs a number too
}

}  // namespace extscrub
