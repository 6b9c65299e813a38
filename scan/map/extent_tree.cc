// The walk of an extent tree: a root of up to four entries in i_block, and below it index and leaf blocks.
#include "scan/format/checksum.h"
#include "scan/map/block_map.h"

namespace extscrub {

namespace {

constexpr unsigned kMaxDepth = 5;           // enough for 2^32 blocks at any block size

template <class Entry>
Entry entry_at(Bytes node, unsigned i) {
  return load<Entry>(node, sizeof(ext3_extent_header) + sizeof(Entry) * i);
}

}  // namespace

void MapWalker::walk_extents() {
  const Bytes root = inode_->block_area();
  const auto header = load<ext3_extent_header>(root);
  if (header.eh_depth > kMaxDepth || !check_header(header, BlockNo(), root.size(), header.eh_depth)) {
    if (header.eh_depth > kMaxDepth) defect(MapDefectKind::header, BlockNo(), 0, BlockNo(), kMaxDepth, header.eh_depth);
    return;
  }
  map_.depth = header.eh_depth;
  Bound bound{0, uint64_t{UINT32_MAX}};
  walk_extent_node(root, BlockNo(), header.eh_depth, bound);
}

// `bytes`: the room the node has, header included. A block may leave a few entries unused: room for its checksum.
bool MapWalker::check_header(const ext3_extent_header& h, BlockNo at, size_t bytes, unsigned depth) {
  const size_t room = (bytes - sizeof h) / sizeof(ext3_extent);
  if (h.eh_magic == EXT3_EXT_MAGIC && h.eh_entries <= h.eh_max && h.eh_max <= room && h.eh_max + 2u >= room &&
      h.eh_depth == depth)
    return true;
  if (h.eh_magic != EXT3_EXT_MAGIC)
    defect(MapDefectKind::header, at, 0, at, EXT3_EXT_MAGIC, h.eh_magic);
  else if (h.eh_depth != depth)
    defect(MapDefectKind::header, at, 0, at, depth, h.eh_depth);
  else
    defect(MapDefectKind::header, at, 0, at, room, h.eh_entries > h.eh_max ? h.eh_entries : h.eh_max);
  return false;
}

void MapWalker::walk_extent_node(Bytes node, BlockNo at, unsigned depth, Bound& bound) {
  const auto header = load<ext3_extent_header>(node);
  if (header.eh_entries == 0 && (depth > 0 || at)) defect(MapDefectKind::node_empty, at, bound.first, at);
  for (unsigned i = 0; depth > 0 && at && i < header.eh_entries; ++i) prefetch(child_of(entry_at<ext3_extent_idx>(node, i)));
  for (unsigned i = 0; i < header.eh_entries; ++i) {
    if (depth == 0) {
      check_leaf_entry(entry_at<ext3_extent>(node, i), at, bound);
      continue;
    }
    const auto entry = entry_at<ext3_extent_idx>(node, i);
    uint64_t end = bound.end;
    if (i + 1u < header.eh_entries)
      if (const uint64_t next = entry_at<ext3_extent_idx>(node, i + 1).ei_block; next > entry.ei_block && next < end) end = next;
    walk_index_entry(entry, at, depth, bound, end);
  }
}

void MapWalker::check_leaf_entry(const ext3_extent& e, BlockNo at, Bound& bound) {
  const Run run = run_of(e);
  const BlockNo start = run.physical;
  const uint64_t end = run.logical + run.count;
  const FileType type = inode_->type();

  if (run.count == 0) return defect(MapDefectKind::length_zero, at, e.ee_block, start);
  if (!start || !fs_.geometry.contains(start, run.count))
    return defect(MapDefectKind::out_of_range, at, e.ee_block, start, fs_.geometry.blocks, start.value + run.count);
  if (e.ee_block < bound.first)
    defect(end > bound.first ? MapDefectKind::overlap : MapDefectKind::order, at, e.ee_block, start, bound.first, e.ee_block);
  else if (end > logical_limit(fs_.geometry, *inode_))
    defect(MapDefectKind::too_far, at, e.ee_block, start, logical_limit(fs_.geometry, *inode_), end);
  else if (end > bound.end)
    defect(MapDefectKind::overlap, at, e.ee_block, start, bound.end, end);
  if (run.unwritten && (type == FileType::directory || type == FileType::symlink))
    defect(MapDefectKind::unwritten, at, e.ee_block, start);
  const uint64_t mask = (uint64_t{1} << fs_.geometry.cluster_bits) - 1;
  if ((start.value ^ e.ee_block) & mask)
    defect(MapDefectKind::cluster, at, e.ee_block, start, e.ee_block & mask, start.value & mask);

  bound.first = std::max(bound.first, end);
  take_run(run);
}

void MapWalker::walk_index_entry(const ext3_extent_idx& e, BlockNo at, unsigned depth, Bound& bound, uint64_t end) {
  const BlockNo child = child_of(e);
  if (e.ei_block < bound.first) defect(MapDefectKind::order, at, e.ei_block, child, bound.first, e.ei_block);
  const std::byte* data = enter_node(child, at, e.ei_block, depth - 1);
  if (!data) return;
  const Bytes node(data, fs_.geometry.block_size);
  const auto header = load<ext3_extent_header>(node);
  if (!check_header(header, child, node.size(), depth - 1)) return;

  if (fs_.geometry.metadata_csum()) {
    const uint32_t seed = inode_seed(fs_.geometry, inode_->number(), inode_->base().i_generation);
    const uint32_t expected = extent_block_checksum(seed, node);
    const auto found = load<uint32_t>(node, extent_tail_offset(node));
    if (expected != found) defect(MapDefectKind::checksum, child, e.ei_block, child, expected, found);
  }
  if (header.eh_entries > 0) {
    const auto first = load<uint32_t>(node, sizeof header);  // ee_block and ei_block are both the first field
    if (first != e.ei_block) defect(MapDefectKind::index_mismatch, at, e.ei_block, child, first, e.ei_block);
  }
  Bound inner{std::max(bound.first, uint64_t{e.ei_block}), end};
  walk_extent_node(node, child, depth - 1, inner);
  bound.first = std::max(bound.first, inner.first);
}

}  // namespace extscrub
