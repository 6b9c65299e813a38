// The map of one inode from logical to physical blocks, whichever of the two forms it has: an extent tree or the
// indirect map of ext2. The walk goes all the way, believes nothing, and reports what does not make sense as defects.
// A walker belongs to one thread; it may be used for one inode after another.
#pragma once

#include <array>
#include <memory>
#include <unordered_set>
#include <vector>

#include "scan/filesystem/file_system.h"
#include "scan/filesystem/prefetcher.h"
#include "scan/format/extent.h"
#include "scan/format/inode.h"

namespace extscrub {

enum class MapDefectKind : uint8_t {
  header,            // eh_magic, eh_entries, eh_max or eh_depth
  out_of_range,      // names blocks outside the file system
  order,             // not behind the entry before it
  overlap,           // begins inside the entry before it
  length_zero,
  too_far,           // beyond 2^32 logical blocks, or what the kind of file can have
  index_mismatch,    // ei_block is not its child's first logical block
  node_empty,
  checksum,          // of an extent block; the block was walked all the same
  cluster,           // offsets in the cluster differ, or a logical cluster lies in two
  translator,        // names a block outside the file system for the passive translator
  block_mapped,      // not an extent tree, where clusters of more than a block have to have one
  unwritten,         // in a directory or symbolic link
  metadata_node,     // a tree node on a block of file system metadata
  loop,              // a tree node reached twice
  unreadable,        // a tree node that the device does not give
};

struct MapDefect {
  MapDefectKind kind{};
  BlockNo node;          // the tree block that holds the entry; 0: the inode itself
  uint64_t logical = 0;  // where in the file
  BlockNo block;         // the block named
  uint64_t expected = 0, found = 0;  // numbers, where they say something (checksums, counts)
  uint64_t count = 1;                // logical blocks that are not mapped because of it; of extent nodes not known
};

// Defects of one map that are kept: so many of checksums, and so many of all else. Inodes without number may share the
// blocks of one tree, so that what they all find there has no bound in the size of the image.
inline constexpr size_t kMostMapDefects = 100;

struct BlockMap {
  uint64_t clusters = 0;       // allocated to the inode, tree nodes included (a node takes a cluster)
  int64_t last_logical = -1;   // the last mapped logical block
  int64_t last_written = -1;   // the last one that is not unwritten
  uint64_t data_blocks = 0;
  uint16_t depth = 0;          // levels of tree nodes outside the inode
  bool whole = true;           // no defect hides blocks: all that the inode uses was seen
  std::vector<MapDefect> defects;  // the first ones, see kMostMapDefects
};

// The first logical block that this kind of inode cannot have.
[[nodiscard]] uint64_t logical_limit(const Geometry& geometry, const Inode& inode);

// Takes what a walk finds. Runs come in logical order within a sound map.
class RunSink {
 public:
  virtual ~RunSink() = default;
  // `shares_first_cluster`: the inode's run before ended in the same cluster (bigalloc), which it has claimed.
  virtual void data(const Run& run, bool shares_first_cluster) = 0;
  virtual void node(BlockNo block) = 0;  // a block of the tree itself
};

// Keeps what a walk finds, in the order of the walk.
class RunList : public RunSink {
 public:
  void data(const Run& run, bool) override { runs.push_back(run); }
  void node(BlockNo block) override { nodes.push_back(block); }

  std::vector<Run> runs;
  std::vector<BlockNo> nodes;
};

// The tree nodes that a walk has come to. Most maps have a handful, which need no allocation.
class VisitedBlocks {
 public:
  void clear();
  bool insert(BlockNo block);  // false when it is there already

 private:
  static constexpr size_t kFew = 8;
  std::array<BlockNo, kFew> few_;
  size_t count_ = 0;  // in few_
  std::unordered_set<BlockNo> more_;
};

// The blocks of nodes that the inode itself names, so far as they look like any: to be fetched before the walk.
void add_first_nodes(const Inode& inode, std::vector<BlockNo>& blocks);
// And its first block of data, if it has one.
void add_first_block(const Inode& inode, std::vector<BlockNo>& blocks);

class MapWalker {
 public:
  // `prefetcher`: where nodes may have been fetched to before; may be null.
  explicit MapWalker(const FileSystem& fs, const Prefetcher* prefetcher = nullptr) : fs_(fs), prefetcher_(prefetcher) {}

  // Walks the map of an inode that has one. The result is valid until the next walk.
  const BlockMap& walk(const Inode& inode, RunSink& sink);

  // Bytes read for tree nodes by all walks.
  [[nodiscard]] uint64_t bytes_read() const { return bytes_read_; }

 private:
  struct Bound {
    uint64_t first = 0;  // the lowest logical block the next entry may have
    uint64_t end = 0;    // the first logical block behind what this node may cover
  };

  void walk_extents();
  void walk_extent_node(Bytes node, BlockNo at, unsigned depth, Bound& bound);
  bool check_header(const ext3_extent_header& header, BlockNo at, size_t bytes, unsigned depth);
  void check_leaf_entry(const ext3_extent& entry, BlockNo at, Bound& bound);
  void walk_index_entry(const ext3_extent_idx& entry, BlockNo at, unsigned depth, Bound& bound, uint64_t end);
  void walk_indirect();
  void walk_indirect_node(BlockNo block, unsigned level, uint64_t logical);
  void map_block(BlockNo block, uint64_t logical, BlockNo node);
  void flush_run();

  // The node's bytes, in a buffer of its own level or the prefetcher's; nullptr, with a defect, when it must not be entered.
  const std::byte* enter_node(BlockNo block, BlockNo parent, uint64_t logical, unsigned level);
  // Has the kernel read what a node names, before the walk comes there.
  void prefetch(BlockNo block) const;
  void take_translator();
  void take_run(const Run& run);
  void defect(MapDefectKind kind, BlockNo node, uint64_t logical, BlockNo block, uint64_t expected = 0, uint64_t found = 0);

  const FileSystem& fs_;
  const Prefetcher* prefetcher_;
  const Inode* inode_ = nullptr;
  RunSink* sink_ = nullptr;
  BlockMap map_;
  Run pending_;                                   // of an indirect map: grows block by block
  uint64_t last_logical_cluster_ = UINT64_MAX, last_physical_cluster_ = UINT64_MAX;
  VisitedBlocks visited_;
  std::unique_ptr<std::byte[]> buffers_[6];
  uint64_t bytes_read_ = 0;
  size_t checksum_defects_ = 0, other_defects_ = 0;  // kept in map_
};

}  // namespace extscrub
