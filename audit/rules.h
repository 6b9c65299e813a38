// The rules: facts in, findings out. They never print, ask, read the image or write.
// Every rule may be called from many threads at once, each with findings of its own.
#pragma once

#include <vector>

#include "audit/finding.h"
#include "scan/backups.h"
#include "scan/bitmaps.h"
#include "scan/directory_facts.h"
#include "scan/file_system.h"
#include "scan/inode_scan.h"
#include "scan/owners.h"
#include "scan/resize_inode.h"

namespace extscrub {

using Findings = std::vector<Finding>;

// The superblock's fields, each by itself and against each other; its state and its checksum.
void check_superblock(const FileSystem& fs, Findings& findings);
void check_backups(const FileSystem& fs, const std::vector<BackupFacts>& backups, Findings& findings);
void check_resize_inode(const ResizeInodeFacts& facts, Findings& findings);

// One descriptor: checksum, locations, flags, unused inodes. `tally`: what the scan counted in the group.
void check_group_desc(const FileSystem& fs, GroupNo group, const GroupTally& tally, Findings& findings);
void check_metadata_overlaps(const MetadataMap& map, Findings& findings);
void check_read_failures(const std::vector<ReadFailure>& failures, Findings& findings);

// One inode's fields, flags, sizes and block map.
void check_inode(const FileSystem& fs, const InodeFacts& facts, Findings& findings);
// The defects of its map, as findings; returns whether there are any besides checksums.
bool check_block_map(const FileSystem& fs, const InodeFacts& facts, Findings& findings);
// i_blocks in its own unit, as counted.
[[nodiscard]] uint64_t counted_inode_blocks(const Geometry& geometry, const InodeFacts& facts);

// A defect of a directory's block or entry, or of its index, as a finding.
void check_entry(const FileSystem& fs, const EntryDefect& defect, Findings& findings);
void check_htree(const FileSystem& fs, InodeNo directory, const HtreeDefect& defect, Findings& findings);
// The tree of all directories, and lost+found.
void check_connectivity(const FileSystem& fs, const InodeScan& scan, const DirectoryScan& facts, Findings& findings);
// i_links_count of all inodes, and those without a name.
void check_links(const FileSystem& fs, const InodeScan& scan, const DirectoryScan& facts, Findings& findings);

// Bitmaps and counts of one group.
void check_group(const FileSystem& fs, const GroupFacts& facts, const GroupTally& tally, Findings& findings);
// The superblock's totals, in clusters and inodes.
void check_totals(const FileSystem& fs, uint64_t free_clusters, uint64_t free_inodes, Findings& findings);
void check_owners(const FileSystem& fs, const std::vector<Owner>& owners, Findings& findings);

// An inode field that must be zero where nothing uses it, for the rule and its repair.
struct ZeroField {
  const char* name;
  size_t offset, size;  // bytes, in the inode
};
[[nodiscard]] const ZeroField* find_zero_field(std::string_view name);

}  // namespace extscrub
