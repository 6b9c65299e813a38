#include "audit/stage/map_builder.h"

#include <fmt/format.h>

#include <algorithm>

#include "scan/format/checksum.h"

namespace extscrub {

namespace {

constexpr size_t kExtentBytes = sizeof(ext3_extent);  // as large as an index entry and a header
constexpr uint64_t kMostLogicalBlocks = uint64_t{1} << 32;   // logical blocks are 32 bits wide

size_t entries_per_node(size_t bytes) { return bytes / kExtentBytes - 1; }

// Runs that touch become one; one that is longer than an extent can be becomes several.
std::vector<Run> as_extents(std::span<const Run> runs) {
  std::vector<Run> joined;
  for (Run run : runs) {
    const uint32_t most = run.unwritten ? EXT_UNINIT_MAX_LEN : EXT_INIT_MAX_LEN;
    while (run.count > 0) {
      Run* last = joined.empty() ? nullptr : &joined.back();
      const bool follows = last && last->unwritten == run.unwritten && last->count < most &&
                           last->logical + last->count == run.logical && last->physical + last->count == run.physical;
      const uint32_t take = std::min(run.count, follows ? most - last->count : most);
      if (follows)
        last->count += take;
      else
        joined.push_back({run.logical, run.physical, take, run.unwritten});
      run.logical += take;
      run.physical = run.physical + take;
      run.count -= take;
    }
  }
  return joined;
}

// Blocks for tree nodes: free ones, so that the map that is there stays whole until the inode has the new one; where there
// are too few, those of the old map.
class Nodes {
 public:
  Nodes(std::span<const BlockNo> old, BlockAllocator& blocks, BlockNo goal) : blocks_(blocks), goal_(goal) {
    for (const BlockNo b : old)
      if (std::ranges::find(old_, b) == old_.end()) old_.push_back(b);
  }

  // False: there is no space.
  bool reserve(size_t count) {
    while (nodes_.size() < count) {
      const auto fresh = blocks_.allocate(goal_);
      if (!fresh) break;
      nodes_.push_back(*fresh);
    }
    for (const BlockNo b : old_)
      if (nodes_.size() < count) nodes_.push_back(b);
    return nodes_.size() >= count;
  }
  BlockNo take() { return nodes_[next_++]; }

 private:
  BlockAllocator& blocks_;
  BlockNo goal_;
  std::vector<BlockNo> old_, nodes_;
  size_t next_ = 0;
};

struct IndexEntry {
  uint64_t logical;
  BlockNo child;
};

template <class Entry>
void store_header(MutableBytes node, std::span<const Entry> entries, size_t most, unsigned depth) {
  ext3_extent_header header{};
  header.eh_magic = EXT3_EXT_MAGIC;
  header.eh_entries = static_cast<uint16_t>(entries.size());
  header.eh_max = static_cast<uint16_t>(most);
  header.eh_depth = static_cast<uint16_t>(depth);
  store(node, 0, header);
}

void store_entries(MutableBytes node, std::span<const Run> runs, size_t most, unsigned depth) {
  store_header(node, runs, most, depth);
  for (size_t i = 0; i < runs.size(); ++i) {
    ext3_extent e{};
    e.ee_block = static_cast<uint32_t>(runs[i].logical);
    e.ee_len = static_cast<uint16_t>(runs[i].count + (runs[i].unwritten ? EXT_INIT_MAX_LEN : 0));
    e.ee_start = static_cast<uint32_t>(runs[i].physical.value);
    e.ee_start_hi = static_cast<uint16_t>(runs[i].physical.value >> 32);
    store(node, kExtentBytes * (i + 1), e);
  }
}

void store_entries(MutableBytes node, std::span<const IndexEntry> index, size_t most, unsigned depth) {
  store_header(node, index, most, depth);
  for (size_t i = 0; i < index.size(); ++i) {
    ext3_extent_idx e{};
    e.ei_block = static_cast<uint32_t>(index[i].logical);
    e.ei_leaf = static_cast<uint32_t>(index[i].child.value);
    e.ei_leaf_hi = static_cast<uint16_t>(index[i].child.value >> 32);
    store(node, kExtentBytes * (i + 1), e);
  }
}

class ExtentTreeWriter {
 public:
  ExtentTreeWriter(const FileSystem& fs, Overlay& overlay, Nodes& nodes, uint32_t seed)
      : fs_(fs), overlay_(overlay), nodes_(nodes), seed_(seed) {}

  Result<MapWritten> write(MutableBytes root, std::span<const Run> extents) {
    const size_t in_root = entries_per_node(root.size()), in_node = entries_per_node(fs_.geometry.block_size);
    size_t wanted = 0;
    for (size_t n = extents.size(); n > in_root;) wanted += n = (n + in_node - 1) / in_node;
    if (!nodes_.reserve(wanted)) return MapWritten::no_room;

    std::ranges::fill(root, std::byte{0});
    if (extents.size() <= in_root) return store_entries(root, extents, in_root, 0), MapWritten::written;
    auto level = write_level(extents, in_node, 0);
    unsigned depth = 1;
    for (; level && level->size() > in_root; ++depth) level = write_level(std::span<const IndexEntry>(*level), in_node, depth);
    if (!level) return std::unexpected(level.error());
    store_entries(root, std::span<const IndexEntry>(*level), in_root, depth);
    return MapWritten::written;
  }

 private:
  template <class Entry>
  Result<std::vector<IndexEntry>> write_level(std::span<const Entry> entries, size_t in_node, unsigned depth) {
    std::vector<IndexEntry> above;
    for (size_t i = 0; i < entries.size(); i += in_node) {
      const auto part = entries.subspan(i, std::min(in_node, entries.size() - i));
      const BlockNo at = nodes_.take();
      auto block = overlay_.edit(at);
      if (!block) return std::unexpected(block.error());
      std::ranges::fill(*block, std::byte{0});
      store_entries(*block, part, in_node, depth);
      if (fs_.geometry.metadata_csum()) store(*block, extent_tail_offset(*block), extent_block_checksum(seed_, *block));
      above.push_back({part.front().logical, at});
    }
    return above;
  }

  const FileSystem& fs_;
  Overlay& overlay_;
  Nodes& nodes_;
  uint32_t seed_;
};

class IndirectMapWriter {
 public:
  IndirectMapWriter(const FileSystem& fs, Overlay& overlay, Nodes& nodes)
      : overlay_(overlay), nodes_(nodes), per_block_(fs.geometry.block_size / sizeof(uint32_t)) {}

  Result<MapWritten> write(MutableBytes area, std::span<const Run> runs) {
    // Twice: first counts the nodes, so that nothing is staged when they cannot be had.
    size_t wanted = 0;
    uint64_t end = 0;
    for_each_root([&](unsigned, unsigned level, uint64_t first, uint64_t span) {
      wanted += nodes_wanted(runs, level, first, span);
      end = first + span;
    });
    const bool fits = runs.empty() || runs.back().logical + runs.back().count <= end;
    for (const Run& run : runs)
      if (!fits || run.physical.value + run.count > kMostLogicalBlocks) return MapWritten::too_large;
    if (!nodes_.reserve(wanted)) return MapWritten::no_room;

    std::ranges::fill(area, std::byte{0});
    Result<MapWritten> result = MapWritten::written;
    for_each_root([&](unsigned i, unsigned level, uint64_t first, uint64_t span) {
      const auto root = result ? subtree(runs, level, first, span) : Result<BlockNo>();
      if (!root)
        result = std::unexpected(root.error());
      else if (result)
        store(area, i * sizeof(uint32_t), static_cast<uint32_t>(root->value));
    });
    return result;
  }

 private:
  template <class Fn>
  void for_each_root(Fn&& fn) {
    uint64_t logical = 0, span = 1;
    for (unsigned i = 0; i < EXT2_N_BLOCKS; ++i) {
      const unsigned level = i < EXT2_NDIR_BLOCKS ? 0 : i - EXT2_NDIR_BLOCKS + 1;
      if (level > 0) span *= per_block_;
      fn(i, level, logical, span);
      logical += span;
    }
  }

  // The run that holds the first mapped block in [first, first + span), or null.
  static const Run* first_run(std::span<const Run> runs, uint64_t first, uint64_t span) {
    const auto it = std::ranges::partition_point(runs, [=](const Run& r) { return r.logical + r.count <= first; });
    return it != runs.end() && it->logical < first + span ? &*it : nullptr;
  }

  size_t nodes_wanted(std::span<const Run> runs, unsigned level, uint64_t first, uint64_t span) {
    if (level == 0 || !first_run(runs, first, span)) return 0;
    size_t n = 1;
    const uint64_t part = span / per_block_;
    if (level > 1)
      for (uint64_t i = 0; i < per_block_; ++i) n += nodes_wanted(runs, level - 1, first + i * part, part);
    return n;
  }

  // The number for the pointer to these logical blocks: of the data block at level 0, else of a node; 0 for a hole.
  Result<BlockNo> subtree(std::span<const Run> runs, unsigned level, uint64_t first, uint64_t span) {
    const Run* run = first_run(runs, first, span);
    if (!run) return BlockNo();
    if (level == 0) return run->physical + (first - run->logical);
    const BlockNo at = nodes_.take();
    auto block = overlay_.edit(at);
    if (!block) return std::unexpected(block.error());
    std::ranges::fill(*block, std::byte{0});
    const uint64_t part = span / per_block_;
    for (uint64_t i = 0; i < per_block_; ++i) {
      const auto child = subtree(runs, level - 1, first + i * part, part);
      if (!child) return child;
      store(*block, i * sizeof(uint32_t), static_cast<uint32_t>(child->value));
    }
    return at;
  }

  Overlay& overlay_;
  Nodes& nodes_;
  uint64_t per_block_;
};

}  // namespace

Result<MapWritten> write_map(const FileSystem& fs, Overlay& overlay, BlockAllocator& blocks, InodeNo ino, MutableBytes raw,
                             std::span<const Run> runs, std::span<const BlockNo> old_nodes) {
  const Inode inode(fs.geometry, ino, raw);
  const MutableBytes area = raw.subspan(offsetof(ext2_inode, i_block), sizeof inode.base().i_block);
  Nodes nodes(old_nodes, blocks, runs.empty() ? fs.geometry.group_first(fs.geometry.group_of(ino)) : runs.front().physical);
  if (!inode.uses_extents()) return IndirectMapWriter(fs, overlay, nodes).write(area, runs);
  if (!runs.empty() && runs.back().logical + runs.back().count > kMostLogicalBlocks) return MapWritten::too_large;
  const uint32_t seed = inode_seed(fs.geometry, ino, inode.base().i_generation);
  return ExtentTreeWriter(fs, overlay, nodes, seed).write(area, as_extents(runs));
}

Result<void> must_write_map(const FileSystem& fs, Overlay& overlay, BlockAllocator& blocks, InodeNo ino, MutableBytes raw,
                            std::span<const Run> runs, std::span<const BlockNo> old_nodes) {
  const auto written = write_map(fs, overlay, blocks, ino, raw, runs, old_nodes);
  if (!written) return std::unexpected(written.error());
  if (*written == MapWritten::no_room) return std::unexpected(Error{"no free blocks for the block map"});
  if (*written == MapWritten::written) return {};
  const bool tree = Inode(fs.geometry, ino, raw).uses_extents();
  return std::unexpected(Error{fmt::format("the {} cannot hold these blocks", tree ? "extent tree" : "indirect map")});
}

std::vector<Run> without_logical(std::span<const Run> runs, uint64_t first, uint64_t count) {
  std::vector<Run> kept;
  const uint64_t end = first + count;
  for (const Run& run : runs) {
    const uint64_t run_end = run.logical + run.count;
    if (run.logical < first)
      kept.push_back({run.logical, run.physical, static_cast<uint32_t>(std::min(run_end, first) - run.logical), run.unwritten});
    if (run_end > end) {
      const uint64_t begin = std::max(run.logical, end);
      kept.push_back({begin, run.physical + (begin - run.logical), static_cast<uint32_t>(run_end - begin), run.unwritten});
    }
  }
  return kept;
}

}  // namespace extscrub
