// The pipeline over the inode tables: a serial stage that plans the reads in disk order and asks for them ahead, a
// parallel stage that reads, verifies and decodes, a last stage that adds each piece's tallies to its group.
// What it finds goes to an InodeSink while it is hot; what later stages need of all inodes together is kept in InodeScan.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <set>
#include <vector>

#include "scan/attribute/xattr_check.h"
#include "scan/filesystem/bitmaps.h"
#include "scan/filesystem/group_bits.h"
#include "scan/image/progress.h"
#include "scan/inodes/directory_table.h"
#include "scan/map/block_map.h"
#include "scan/map/symlink.h"
#include "scan/quota/quota_usage.h"

namespace extscrub {

// One inode, with what reading and walking it gave.
struct InodeFacts {
  const Inode& inode;
  GroupNo group;
  bool in_use = false;            // has links, or is reserved
  bool checksum_ok = true;        // or no checksum is kept
  uint32_t checksum_expected = 0, checksum_found = 0;
  const BlockMap* map = nullptr;  // none when the inode has no block map
  bool looks_like_directory = false;  // its kind has no blocks, but its first block is a directory's
  uint64_t ea_clusters = 0;       // charged to the inode for its attribute block and for attribute values in ea_inodes
  const EaFacts* attributes = nullptr;      // those in the inode; none when it has no links or no attributes there
  const SymlinkFacts* symlink = nullptr;    // of symbolic links with links
  // Of inodes with EXT4_ENCRYPT_FL and links: the attribute with the policy, empty when there is none.
  const std::vector<std::byte>* encryption = nullptr;
};

// A reserved inode that nothing leads to, with bytes that are no inode's.
[[nodiscard]] bool is_reserved_noise(const FileSystem& fs, const InodeFacts& facts);

// Takes inodes from many threads at once, in no order.
class InodeSink {
 public:
  virtual ~InodeSink() = default;
  virtual void inode(const InodeFacts& facts) = 0;
  // A piece of an inode table: whole blocks, as they are in place.
  virtual void table(BlockNo, Bytes) {}
};

// Blocks of metadata that the device does not give.
struct ReadFailure {
  BlockNo block;
  GroupNo group;
  MetadataKind kind{};
  Error error;
};

struct EaReference {
  BlockNo block;
  InodeNo inode;
  bool inline_symlink = false;  // which e2fsck leaves out of its counts
  auto operator<=>(const EaReference&) const = default;
};

struct GroupTally {
  uint32_t inodes_used = 0;
  uint32_t directories = 0;
  uint32_t last_used = 0;     // 1 + index in the table of the last inode in use; 0 when there is none
  uint32_t scanned = 0;       // inodes of the table that were read
  uint32_t noise = 0;         // those in use that hold no inode, but other bytes
};

struct InodeScan {
  explicit InodeScan(const FileSystem& fs)
      : claims(fs.geometry.groups, fs.geometry.clusters_per_group),
        claimed_again(fs.geometry.groups, fs.geometry.clusters_per_group), used(fs.geometry.groups, fs.geometry.inodes_per_group),
        noise(fs.geometry.groups, fs.geometry.inodes_per_group), tallies(fs.geometry.groups), usage(fs),
        links(fs.geometry.groups, fs.geometry.inodes_per_group) {}

  // An attribute names the inode for its value. Complete after scan_ea_blocks().
  [[nodiscard]] bool holds_ea_value(InodeNo ino) const {
    return std::ranges::binary_search(ea_values, ino, {}, &EaValueReference::value);
  }

  // Something uses a block of the map, or of its nodes.
  [[nodiscard]] bool claims_any(const Geometry& geometry, const RunList& map) const;

  GroupBits claims;         // clusters that something uses
  GroupBits claimed_again;  // clusters that something more uses
  GroupBits used;           // inodes in use
  GroupBits noise;          // of these, those that hold other bytes
  std::vector<GroupTally> tallies;           // by group
  std::vector<InodeBitmap> inode_bitmaps;    // by group
  std::vector<EaReference> ea_references;    // sorted
  std::vector<EaValueReference> ea_values;   // sorted; those in attribute blocks only after scan_ea_blocks()
  std::vector<InodeNo> ea_inodes;            // in use and with EA_INODE_FL; sorted
  QuotaUsage usage;
  std::vector<ReadFailure> failures;         // sorted by block
  LinkTable links;                           // of inodes in use
  DirectoryTable directories;
  std::vector<InodeNo> broken_maps;          // inodes that may use blocks that were not seen; sorted
  std::set<BlockNo> metadata_as_nodes;  // blocks of bitmaps and inode tables that a map names as its indirect or extent block
  std::set<BlockNo> nodes_in_metadata;  // of these, those that hold such a block
  bool any_claimed_again = false;
  uint64_t large_files = 0;  // regular files of 2 GiB and more
  uint64_t bytes_read = 0;
};

// How many inodes at the begin of the group's table may be in use: what the descriptor says, where it can be believed,
// but never less than the inode bitmap shows.
[[nodiscard]] uint32_t inodes_to_scan(const FileSystem& fs, GroupNo group, Bytes inode_bitmap);

// Scans all inode tables, on the threads of the current task arena. Errors: cancelled.
[[nodiscard]] Result<InodeScan> scan_inodes(const FileSystem& fs, InodeSink& sink, Progress* progress);

// Calls `fn(inode)` for each inode that scan_inodes() would see in use, from many threads at once.
// For the second look at the inodes when something was found that only all of them together can explain.
[[nodiscard]] Result<void> for_each_used_inode(const FileSystem& fs, Progress* progress,
                                               const std::function<void(const Inode&)>& fn);

}  // namespace extscrub
