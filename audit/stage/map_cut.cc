#include "audit/stage/map_cut.h"

#include <algorithm>

#include "scan/format/checksum.h"

namespace extscrub {

namespace {

class Cutter {
 public:
  Cutter(const FileSystem& fs, Overlay& overlay, InodeNo ino, uint32_t generation, uint64_t keep)
      : fs_(fs), overlay_(overlay), seed_(inode_seed(fs.geometry, ino, generation)), keep_(keep) {}

  // Returns whether the node has no entries left.
  Result<bool> cut_extents(MutableBytes node) {
    auto header = load<ext3_extent_header>(node);
    unsigned left = 0;
    for (unsigned i = 0; i < header.eh_entries; ++i) {
      const size_t at = sizeof header + sizeof(ext3_extent) * i;
      auto kept = header.eh_depth == 0 ? Result<bool>(cut_leaf_entry(node, at)) : cut_index_entry(node, at);
      if (!kept) return kept;
      if (!*kept) continue;
      if (left != i) {  // in order, what is cut comes last; still, nothing is lost when it does not
        const auto entry = load<ext3_extent>(node, at);
        store(node, sizeof header + sizeof entry * left, entry);
      }
      ++left;
    }
    header.eh_entries = static_cast<uint16_t>(left);
    store(node, 0, header);
    return left == 0;
  }

  // `level`: 1 for a block of data block numbers. Returns whether it maps nothing any more.
  Result<bool> cut_indirect(MutableBytes node, unsigned level, uint64_t logical) {
    const uint64_t per_block = fs_.geometry.block_size / sizeof(uint32_t);
    uint64_t span = 1;
    for (unsigned i = 1; i < level; ++i) span *= per_block;
    bool empty = true;
    for (size_t at = 0; at < node.size(); at += sizeof(uint32_t), logical += span) {
      auto left = cut_pointer(node, at, level - 1, logical, span);
      if (!left) return left;
      empty = empty && !*left;
    }
    return empty;
  }

  Result<void> cut_inode_pointers(MutableBytes area) {
    const uint64_t per_block = fs_.geometry.block_size / sizeof(uint32_t);
    uint64_t logical = 0, span = 1;
    for (unsigned i = 0; i < EXT2_N_BLOCKS; ++i) {
      const unsigned level = i < EXT2_NDIR_BLOCKS ? 0 : i - EXT2_NDIR_BLOCKS + 1;
      if (level > 0) span *= per_block;
      if (auto left = cut_pointer(area, i * sizeof(uint32_t), level, logical, span); !left) return std::unexpected(left.error());
      logical += span;
    }
    return {};
  }

  Cut take() { return std::move(cut_); }

 private:
  bool cut_leaf_entry(MutableBytes node, size_t at) {
    auto e = load<ext3_extent>(node, at);
    const Run run = run_of(e);
    if (run.logical + run.count <= keep_) {
      last_kept_ = (run.physical.value + run.count - 1) >> fs_.geometry.cluster_bits;
      return true;
    }
    const auto left = static_cast<uint32_t>(run.logical < keep_ ? keep_ - run.logical : 0);
    if (left > 0) last_kept_ = (run.physical.value + left - 1) >> fs_.geometry.cluster_bits;
    free_data({run.logical + left, run.physical + left, run.count - left, run.unwritten});
    e.ee_len = static_cast<uint16_t>(left + (run.unwritten ? EXT_INIT_MAX_LEN : 0));
    store(node, at, e);
    return left > 0;
  }

  Result<bool> cut_index_entry(MutableBytes node, size_t at) {
    const auto e = load<ext3_extent_idx>(node, at);
    const BlockNo child = child_of(e);
    auto block = overlay_.edit(child);
    if (!block) return std::unexpected(block.error());
    auto empty = cut_extents(*block);
    if (!empty) return empty;
    if (*empty)
      free_node(child);
    else if (fs_.geometry.metadata_csum())
      store(*block, extent_tail_offset(*block), extent_block_checksum(seed_, *block));
    return !*empty;
  }

  // The block number at `at`: of data at level 0, else of a node. Returns whether it is still there.
  Result<bool> cut_pointer(MutableBytes node, size_t at, unsigned level, uint64_t logical, uint64_t span) {
    const BlockNo block(load<uint32_t>(node, at));
    if (!block) return false;
    if (logical + span <= keep_) {
      if (level == 0) last_kept_ = block.value >> fs_.geometry.cluster_bits;
      return true;
    }
    if (level == 0) {
      free_data({logical, block, 1, false});
    } else {
      auto child = overlay_.edit(block);
      if (!child) return std::unexpected(child.error());
      auto empty = cut_indirect(*child, level, logical);
      if (!empty) return empty;
      if (!*empty) return true;
      free_node(block);
    }
    store(node, at, uint32_t{0});
    return false;
  }

  // With bigalloc the cluster that the last kept block lies in stays.
  void free_data(Run run) {
    const uint32_t bits = fs_.geometry.cluster_bits;
    while (run.count > 0 && run.physical.value >> bits == last_kept_) {
      ++run.physical;
      ++run.logical;
      --run.count;
    }
    if (run.count == 0) return;
    const uint64_t first = run.physical.value >> bits, last = (run.physical.value + run.count - 1) >> bits;
    cut_.clusters += last - first + (first != last_freed_ ? 1 : 0);
    last_freed_ = last;
    cut_.freed.push_back(run);
  }

  void free_node(BlockNo block) {
    ++cut_.clusters;
    cut_.freed.push_back({0, block, 1, false});
  }

  const FileSystem& fs_;
  Overlay& overlay_;
  uint32_t seed_;
  uint64_t keep_;
  uint64_t last_kept_ = UINT64_MAX, last_freed_ = UINT64_MAX;  // clusters
  Cut cut_;
};

}  // namespace

Result<Cut> cut_map(const FileSystem& fs, Overlay& overlay, InodeNo ino, MutableBytes raw, uint64_t keep) {
  const Inode inode(fs.geometry, ino, raw);
  const MutableBytes area = raw.subspan(offsetof(ext2_inode, i_block), sizeof inode.base().i_block);
  Cutter cutter(fs, overlay, ino, inode.base().i_generation, keep);
  if (!inode.uses_extents()) {
    if (auto r = cutter.cut_inode_pointers(area); !r) return std::unexpected(r.error());
    return cutter.take();
  }
  auto empty = cutter.cut_extents(area);
  if (!empty) return std::unexpected(empty.error());
  if (*empty) {
    auto header = load<ext3_extent_header>(area);
    header.eh_depth = 0;
    store(area, 0, header);
  }
  return cutter.take();
}

}  // namespace extscrub
