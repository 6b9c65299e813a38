#include "audit/stage/map_salvage.h"

#include <algorithm>
#include <optional>
#include <unordered_set>

namespace extscrub {

namespace {

constexpr unsigned kMaxDepth = 16;  // deeper than a kernel takes: it is written anew as flat as it can be
constexpr size_t kMostRuns = 1 << 22;  // of one inode; bounds the memory that a hostile map can ask for

template <class Entry>
Entry entry_at(Bytes node, unsigned i) {
  return load<Entry>(node, sizeof(ext3_extent_header) + sizeof(Entry) * i);
}

// Walks an extent tree as MapWalker does, but goes on where that gives up.
class ExtentSalvage {
 public:
  ExtentSalvage(const FileSystem& fs, const InodeScan& scan, const Inode& inode, SalvagedMap& out)
      : fs_(fs), scan_(scan), inode_(inode), out_(out) {}

  void take() {
    const Bytes root = inode_.block_area();
    const auto header = load<ext3_extent_header>(root);
    const bool trusted = is_header(root, header.eh_depth) && header.eh_depth <= kMaxDepth;
    take_node(root, trusted ? header.eh_depth : guess_depth(root), trusted, {0, UINT32_MAX});
  }

 private:
  static bool is_header(Bytes node, unsigned depth) {
    const auto h = load<ext3_extent_header>(node);
    const size_t room = node.size() / sizeof(ext3_extent) - 1;
    return h.eh_magic == EXT3_EXT_MAGIC && h.eh_entries <= h.eh_max && h.eh_max <= room && h.eh_max + 2u >= room &&
           h.eh_depth == depth;
  }

  // Without a header to go by: one more than the node below the first entry, if that is one.
  unsigned guess_depth(Bytes root) {
    const auto block = read(child_of(entry_at<ext3_extent_idx>(root, 0)));
    if (!block) return 0;
    const auto below = load<ext3_extent_header>(*block);
    return below.eh_magic == EXT3_EXT_MAGIC && below.eh_depth < kMaxDepth ? below.eh_depth + 1u : 0;
  }

  std::optional<std::vector<std::byte>> read(BlockNo block) {
    if (!block || !fs_.geometry.contains(block)) return {};
    std::vector<std::byte> bytes(fs_.geometry.block_size);
    if (!fs_.blocks->read(block, bytes)) return {};
    return bytes;
  }

  // How many entries to look at: what the header says, if that is still possible, else all there is room for.
  static unsigned entries(Bytes node) {
    const auto h = load<ext3_extent_header>(node);
    const auto room = static_cast<unsigned>(node.size() / sizeof(ext3_extent) - 1);
    return h.eh_entries > 0 && h.eh_entries <= room ? h.eh_entries : room;
  }

  void take_node(Bytes node, unsigned depth, bool trusted, LogicalRange cover) {
    const unsigned named = load<ext3_extent_header>(node).eh_entries;
    const unsigned n = trusted ? named : entries(node);
    const LogicalRange whole = cover;
    unsigned taken = 0;
    for (unsigned i = 0; i < n; ++i)
      taken += depth == 0 ? take_extent(entry_at<ext3_extent>(node, i), trusted, cover)
                          : take_index(node, i, n, depth, trusted, cover);
    // Unless all that the header counts was found, what a damaged node held besides cannot be known.
    if (!trusted && (taken != n || n != named)) lose(whole.first, whole.end);
  }

  // Both return whether the entry made sense.
  bool take_extent(const ext3_extent& e, bool trusted, LogicalRange& cover) {
    const Run run = run_of(e);
    const bool there = run.count > 0 && run.physical && fs_.geometry.contains(run.physical, run.count);
    if (!trusted) {
      if (!there || run.logical < cover.first || run.logical + run.count > cover.end ||
          scan_.claims.test_any(fs_.geometry, run.physical, run.count))
        return false;
      cover.first = run.logical + run.count;
    }
    if (!there) {
      lose(run.logical, run.logical + run.count);
      return false;
    }
    if (out_.runs.size() >= kMostRuns)
      out_.whole = false;
    else
      out_.runs.push_back(run);
    return true;
  }

  bool take_index(Bytes node, unsigned i, unsigned n, unsigned depth, bool trusted, LogicalRange& cover) {
    const auto e = entry_at<ext3_extent_idx>(node, i);
    const BlockNo child = child_of(e);
    uint64_t end = cover.end;
    if (i + 1 < n)
      if (const uint64_t next = entry_at<ext3_extent_idx>(node, i + 1).ei_block; next > e.ei_block) end = std::min(end, next);
    const auto block = read(child);
    const bool node_there = block && is_header(*block, depth - 1);
    // On metadata only a whole node counts, and what it says only as far as nothing speaks against it.
    const bool on_metadata = block && fs_.metadata.find(child);
    const bool sound = node_there && !on_metadata;
    if (!trusted) {
      if (!sound || e.ei_block < cover.first || e.ei_block >= cover.end) return false;
      cover.first = e.ei_block;
    }
    if (!block || (on_metadata && !node_there) || !visited_.insert(child).second) {
      lose(e.ei_block, end);
      return false;
    }
    // It is for another part of the file, or of another one.
    if (const uint64_t first = entry_at<ext3_extent_idx>(*block, 0).ei_block; sound && (first < e.ei_block || first >= end))
      lose(e.ei_block, end);
    // The entries of a sound child are believed wherever they say they are.
    take_node(*block, depth - 1, sound, {sound ? 0 : uint64_t{e.ei_block}, end});
    // What the scan has not come to may belong to another inode too.
    if (sound && scan_.claims.test(fs_.geometry, child) && !scan_.claimed_again.test(fs_.geometry, child))
      out_.nodes.push_back(child);
    return true;
  }

  void lose(uint64_t first, uint64_t end) {
    if (first < end) out_.lost.push_back({first, end});
  }

  const FileSystem& fs_;
  const InodeScan& scan_;
  const Inode& inode_;
  SalvagedMap& out_;
  std::unordered_set<BlockNo> visited_;
};

class BoundedRuns : public RunSink {
 public:
  explicit BoundedRuns(SalvagedMap& out) : out_(out) {}
  void data(const Run& run, bool) override {
    if (out_.runs.size() >= kMostRuns)
      out_.whole = false;
    else
      out_.runs.push_back(run);
  }
  void node(BlockNo block) override { out_.nodes.push_back(block); }

 private:
  SalvagedMap& out_;
};

// Sorts the runs and takes away what lies over another one, which is returned, or behind the limit.
std::vector<LogicalRange> arrange(const Geometry& g, const Inode& inode, SalvagedMap& map) {
  const FileType type = inode.type();
  const bool always_written = type == FileType::directory || type == FileType::symlink;
  const uint64_t limit = logical_limit(g, inode);
  std::ranges::stable_sort(map.runs, {}, &Run::logical);
  std::vector<Run> kept;
  std::vector<LogicalRange> overlaid;
  for (const Run& run : map.runs) {
    const uint64_t end = std::min(run.logical + run.count, std::max(run.logical, limit));
    if (end < run.logical + run.count) map.lost.push_back({end, run.logical + run.count});
    uint64_t first = run.logical;
    if (!kept.empty() && first < kept.back().logical + kept.back().count) {
      const Run& under = kept.back();
      first = std::min(end, under.logical + under.count);
      // The same blocks twice are no loss.
      if (under.physical + (run.logical - under.logical) != run.physical) overlaid.push_back({run.logical, first});
    }
    if (first < end)
      kept.push_back(
          {first, run.physical + (first - run.logical), static_cast<uint32_t>(end - first), run.unwritten && !always_written});
  }
  map.runs = std::move(kept);
  return overlaid;
}

// Sorted, merged, and inside the file.
std::vector<LogicalRange> merge(std::vector<LogicalRange> ranges, uint64_t blocks) {
  std::ranges::sort(ranges, {}, &LogicalRange::first);
  std::vector<LogicalRange> merged;
  for (LogicalRange r : ranges) {
    r.end = std::min(r.end, blocks);
    if (r.first >= r.end) continue;
    if (!merged.empty() && r.first <= merged.back().end)
      merged.back().end = std::max(merged.back().end, r.end);
    else
      merged.push_back(r);
  }
  return merged;
}

// Takes what the runs cover out of what is lost.
void settle_losses(const Geometry& g, const Inode& inode, const std::vector<LogicalRange>& overlaid, SalvagedMap& map) {
  const uint64_t blocks = (inode.size() + g.block_size - 1) >> g.block_bits;
  std::vector<LogicalRange> left = overlaid;
  for (LogicalRange lost : merge(std::move(map.lost), blocks)) {
    auto run = std::ranges::partition_point(map.runs, [&](const Run& r) { return r.logical + r.count <= lost.first; });
    for (; run != map.runs.end() && run->logical < lost.end; ++run) {
      if (run->logical > lost.first) left.push_back({lost.first, run->logical});
      lost.first = std::min(lost.end, run->logical + run->count);
    }
    if (lost.first < lost.end) left.push_back(lost);
  }
  map.lost = merge(std::move(left), blocks);
}

}  // namespace

SalvagedMap salvage_map(const FileSystem& fs, const InodeScan& scan, const Inode& inode) {
  SalvagedMap out;
  BoundedRuns sink(out);
  MapWalker walker(fs);
  const BlockMap& map = walker.walk(inode, sink);
  out.sound = std::ranges::all_of(map.defects, [](const MapDefect& d) { return d.kind == MapDefectKind::checksum; });
  if (!out.sound && inode.uses_extents()) {
    out.runs.clear();
    out.nodes.clear();
    ExtentSalvage(fs, scan, inode, out).take();
  } else {
    std::erase_if(out.nodes, [&](BlockNo node) { return scan.claimed_again.test(fs.geometry, node); });
    // A block behind the limit is among the runs, and is cut there.
    for (const MapDefect& d : map.defects)
      if (d.kind != MapDefectKind::checksum && d.kind != MapDefectKind::too_far && d.kind != MapDefectKind::cluster)
        out.lost.push_back({d.logical, d.logical + d.count});
  }
  const std::vector<LogicalRange> overlaid = arrange(fs.geometry, inode, out);
  settle_losses(fs.geometry, inode, overlaid, out);
  return out;
}

}  // namespace extscrub
