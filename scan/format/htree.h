// The index of a directory: a root in logical block 0, up to two levels of nodes below it (three with large_dir), and
// leaves that are plain directory blocks. Nodes are parsed where they are read; when all blocks have been seen, the tree
// is held together.
// Stateless: any thread.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "scan/format/geometry.h"

namespace extscrub {

// What is wrong with an index.
enum class HtreeDefectKind : uint8_t {
  reserved,          // reserved_zero
  length,            // info_length
  flags,             // unused_flags
  version,           // hash_version
  levels,            // indirect_levels
  limit,             // the node's limit is not what fits into it
  count,             // more entries than the limit, or none
  checksum,
  block_range,       // names a block behind the directory's last
  order,             // hashes go back
  range,             // a node's hash, or a name's, is not in the range that leads to its block
  depth,             // a leaf where a node should be, or the other way round
  referenced_again,
  unreferenced,
};

struct HtreeDefect {
  HtreeDefectKind kind{};
  uint32_t logical = 0;  // the block in the directory
  uint64_t expected = 0, found = 0;
};

struct HtreeEntry {
  uint32_t hash = 0;   // bit 0: names with this hash lie in the block before too; 0 for the first entry
  uint32_t block = 0;  // logical
};

// A root or node, as its bytes say.
struct HtreeNode {
  uint8_t version = 0;  // hash_version and levels: of the root only
  uint8_t levels = 0;
  std::vector<HtreeEntry> entries;
  std::vector<HtreeDefect> defects;
};

inline constexpr size_t kHtreeRootInfo = 24;    // offset of dx_root_info, behind `.` and `..`
inline constexpr size_t kHtreeNodeEntries = 8;  // where a node's entries begin, behind the entry that is not in use

// The limit of a node whose entries begin at that offset.
[[nodiscard]] size_t htree_limit(const Geometry& geometry, size_t entries_at);
// Stores dt_checksum into the root or a node, whose limit must be htree_limit(). For metadata_csum.
void seal_htree_node(uint32_t inode_seed, MutableBytes block, size_t entries_at);
// The seed of the inode that the checksum of the root or a node was made for. Nothing where the block has no form of one.
[[nodiscard]] std::optional<uint32_t> htree_node_seed(const Geometry& geometry, Bytes block);

// Whether a block other than the first looks like a node: one unused entry over all of it, and the limit of a node.
[[nodiscard]] bool looks_like_node(const Geometry& geometry, Bytes block);

// `logical`: 0 for the root. `blocks`: of the directory. `siphash`: names carry their hashes with them.
[[nodiscard]] HtreeNode parse_htree_node(const Geometry& geometry, Bytes block, uint32_t logical, uint32_t blocks,
                                         uint32_t inode_seed, bool siphash);

// What a block of an indexed directory turned out to be, with the lowest and highest hash of its names.
struct HashRange {
  enum Kind : uint8_t { unseen, leaf, node };
  uint32_t low = UINT32_MAX, high = 0;
};

// A node's entries in a list of all nodes' entries of the directory.
struct HtreeNodeAt {
  uint32_t logical = 0;
  std::span<const HtreeEntry> entries;
};

// Holds the tree together: `nodes` sorted by logical block, the root first; `kinds` and `ranges` by logical block.
// Pairs of leaves whose names may be the same, because a hash goes on from one to the next, go to `continued`.
[[nodiscard]] std::vector<HtreeDefect> verify_htree(unsigned levels, std::span<const HtreeNodeAt> nodes,
                                                    std::span<const uint8_t> kinds, std::span<const HashRange> ranges,
                                                    std::vector<std::pair<uint32_t, uint32_t>>& continued);

}  // namespace extscrub
