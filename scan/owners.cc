#include "scan/owners.h"

#include <tbb/enumerable_thread_specific.h>

#include <algorithm>

namespace extscrub {

namespace {

// Collects the parts of an inode's runs that lie on clusters claimed more than once.
class Collector : public RunSink {
 public:
  Collector(const FileSystem& fs, const GroupBits& again) : metadata_map(fs.metadata), g_(fs.geometry), again_(again) {}

  void data(const Run& run, bool) override {
    if (inode.value != EXT2_RESIZE_INO) collect(run.physical, run.count, run.logical, Owner::Use::data);
  }
  void node(BlockNo block) override {
    if (inode.value != EXT2_RESIZE_INO || !metadata_map.find(block)) collect(block, 1, 0, Owner::Use::map_node);
  }

  void collect(BlockNo first, uint64_t count, uint64_t logical, Owner::Use use) {
    Owner* open = nullptr;
    for (uint64_t i = 0; i < count; ++i) {
      const BlockNo block = first + i;
      if (!is_shared(block)) {
        open = nullptr;
      } else if (open) {
        ++open->count;
      } else {
        open = &found.emplace_back(Owner{block, 1, inode, logical + i, use, metadata, group});
      }
    }
  }

  const MetadataMap& metadata_map;
  std::vector<Owner> found;
  InodeNo inode;
  MetadataKind metadata{};
  GroupNo group;

 private:
  bool is_shared(BlockNo block) const {
    const uint64_t cluster = (block.value - g_.first_data_block) >> g_.cluster_bits;
    return again_.test(GroupNo(static_cast<uint32_t>(cluster / g_.clusters_per_group)),
                       static_cast<uint32_t>(cluster % g_.clusters_per_group));
  }

  const Geometry& g_;
  const GroupBits& again_;
};

struct Worker {
  Worker(const FileSystem& fs, const InodeScan& scan) : walker(fs), collector(fs, scan.claimed_again) {}
  MapWalker walker;
  Collector collector;
};

}  // namespace

Result<std::vector<Owner>> find_owners(const FileSystem& fs, const InodeScan& scan, Progress* progress) {
  tbb::enumerable_thread_specific<Worker> workers([&] { return Worker(fs, scan); });
  const auto each = [&](const Inode& inode) {
    // The resize inode's blocks are the metadata's own, but for its doubly indirect block.
    if (!inode.has_block_map()) return;
    Worker& w = workers.local();
    w.collector.inode = inode.number();
    w.walker.walk(inode, w.collector);
  };
  if (auto r = for_each_used_inode(fs, progress, each); !r) return std::unexpected(r.error());

  Collector rest(fs, scan.claimed_again);
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
  for (Worker& w : workers) owners.insert(owners.end(), w.collector.found.begin(), w.collector.found.end());
  std::ranges::sort(owners, {}, [](const Owner& o) { return std::tuple(o.first, o.inode, o.use, o.logical); });
  return owners;
}

}  // namespace extscrub
