#include "scan/inodes/owners.h"

#include <tbb/enumerable_thread_specific.h>

#include <algorithm>

namespace extscrub {

namespace {

// Collects the parts of an inode's runs that are asked for.
class Collector : public RunSink {
 public:
  Collector(const FileSystem& fs, const FindBlocks& wanted) : metadata_map(fs.metadata), wanted_(wanted) {}

  void data(const Run& run, bool) override {
    if (inode.value != EXT2_RESIZE_INO) collect(run.physical, run.count, run.logical, Owner::Use::data, run.unwritten);
  }
  void node(BlockNo block) override {
    if (inode.value != EXT2_RESIZE_INO || !metadata_map.find(block)) collect(block, 1, 0, Owner::Use::map_node);
  }

  void collect(BlockNo first, uint64_t count, uint64_t logical, Owner::Use use, bool unwritten = false) {
    const BlockNo end = first + count;
    for (auto part = wanted_(first, end); part; part = wanted_(part->end, end))
      found.push_back({part->first, static_cast<uint32_t>(part->end - part->first), inode, logical + (part->first - first), use,
                       metadata, group, unwritten, file_size});
  }

  const MetadataMap& metadata_map;
  std::vector<Owner> found;
  InodeNo inode;
  uint64_t file_size = 0;
  MetadataKind metadata{};
  GroupNo group;

 private:
  const FindBlocks& wanted_;
};

struct OwnerWorker {
  OwnerWorker(const FileSystem& fs, const FindBlocks& wanted) : walker(fs), collector(fs, wanted) {}
  MapWalker walker;
  Collector collector;
};

}  // namespace

FindBlocks shared_blocks(const Geometry& g, const InodeScan& scan) {
  const auto is_shared = [&g, &scan](BlockNo block) { return scan.claimed_again.test(g, block); };
  return [is_shared](BlockNo first, BlockNo end) -> std::optional<BlockRange> {
    while (first < end && !is_shared(first)) ++first;
    if (first >= end) return std::nullopt;
    BlockNo last = first;
    while (last < end && is_shared(last)) ++last;
    return BlockRange{first, last};
  };
}

FindBlocks blocks_in(const std::vector<BlockRange>& ranges) {
  return [&ranges](BlockNo first, BlockNo end) -> std::optional<BlockRange> {
    const auto it = std::ranges::upper_bound(ranges, first, {}, &BlockRange::end);
    if (first >= end || it == ranges.end() || it->first >= end) return std::nullopt;
    return BlockRange{std::max(it->first, first), std::min(it->end, end)};
  };
}

Result<std::vector<Owner>> find_owners(const FileSystem& fs, const InodeScan& scan, const FindBlocks& wanted,
                                       Progress* progress) {
  tbb::enumerable_thread_specific<OwnerWorker> workers([&] { return OwnerWorker(fs, wanted); });
  const auto each = [&](const Inode& inode) {
    // The resize inode's blocks are the metadata's own, but for its doubly indirect block.
    if (!inode.has_block_map()) return;
    OwnerWorker& w = workers.local();
    w.collector.inode = inode.number();
    w.collector.file_size = inode.size();
    w.walker.walk(inode, w.collector);
  };
  if (auto r = for_each_used_inode(fs, progress, each); !r) return std::unexpected(r.error());

  Collector rest(fs, wanted);
  for (const MetadataExtent& e : fs.metadata.extents()) {
    rest.metadata = e.kind;
    rest.group = e.group;
    rest.collect(e.first, e.count, 0, Owner::Use::metadata);
  }
  for (const EaReference& r : scan.ea_references) {
    rest.inode = r.inode;
    rest.collect(r.block, 1, 0, Owner::Use::ea_block);
  }
  std::vector<Owner> owners = std::move(rest.found);
  for (OwnerWorker& w : workers) owners.insert(owners.end(), w.collector.found.begin(), w.collector.found.end());
  std::ranges::sort(owners, {}, [](const Owner& o) { return std::tuple(o.first, o.inode, o.use, o.logical); });
  return owners;
}

}  // namespace extscrub
