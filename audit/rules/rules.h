// The rules: facts in, findings out. They never print, ask, read the image or write.
// Every rule may be called from many threads at once, each with findings of its own.
#pragma once

#include <vector>

#include "audit/catalogue/finding_list.h"
#include "audit/recover/recovery.h"
#include "scan/directory/directory_facts.h"
#include "scan/directory/lost_names.h"
#include "scan/filesystem/backups.h"
#include "scan/filesystem/bitmaps.h"
#include "scan/filesystem/file_system.h"
#include "scan/filesystem/mmp.h"
#include "scan/inodes/ea_inode.h"
#include "scan/inodes/inode_scan.h"
#include "scan/inodes/owners.h"
#include "scan/inodes/xattr_block.h"
#include "scan/map/resize_inode.h"
#include "scan/quota/quota_file.h"

namespace extscrub {

// The superblock's fields, each by itself and against each other; its state and its checksum.
void check_superblock(const FileSystem& fs, Findings& findings);
// Times of the superblock that lie behind `now`, in seconds since 1970.
void check_clock(const FileSystem& fs, uint64_t now, Findings& findings);
void check_backups(const FileSystem& fs, const std::vector<BackupFacts>& backups, Findings& findings);
// The journal's superblock and log, the orphans, and what there was to recover.
void check_recovery(const FileSystem& fs, const Recovery& recovery, Findings& findings);
void check_resize_inode(const FileSystem& fs, const ResizeInodeFacts& facts, Findings& findings);

// One descriptor: checksum, locations, flags, unused inodes. `tally`: what the scan counted in the group.
void check_group_desc(const FileSystem& fs, GroupNo group, const GroupTally& tally, Findings& findings);
// Tables that are not where their descriptors say, and are elsewhere.
void check_inode_tables(const FileSystem& fs, const std::vector<BackupFacts>& backups, Findings& findings);
// A descriptor whose checksum does not match.
void check_desc_checksum(const FileSystem& fs, GroupNo group, const GroupDesc& desc, Findings& findings);
// The structures that lie elsewhere than the descriptors say.
void check_moved(const FileSystem& fs, Findings& findings);
// Bitmaps and inode tables on blocks that an inode claims too; those that do not look like any are not where they belong.
[[nodiscard]] std::vector<ClaimedStructure> claimed_structures(const FileSystem& fs, const InodeScan& scan);
void check_claimed(const FileSystem& fs, const InodeScan& scan, Findings& findings);
void check_metadata_overlaps(const MetadataMap& map, Findings& findings);
[[nodiscard]] UnreadPart unread_part(MetadataKind kind);
void check_read_failures(const std::vector<ReadFailure>& failures, Findings& findings);

// One inode's fields, flags, sizes and block map.
void check_inode(const FileSystem& fs, const InodeFacts& facts, Findings& findings);
// The defects of its map, as findings; returns whether there are any besides checksums.
bool check_block_map(const FileSystem& fs, const InodeFacts& facts, Findings& findings);
// i_blocks in its own unit, as counted.
[[nodiscard]] uint64_t counted_inode_blocks(const Geometry& geometry, const InodeFacts& facts);

// The target of a symbolic link.
void check_symlink(const FileSystem& fs, const InodeFacts& facts, Findings& findings);

// The attributes in the inode, and what depends on them: the encryption policy, inline data.
void check_attributes(const FileSystem& fs, const InodeFacts& facts, Findings& findings);
void check_ea_block(const FileSystem& fs, const EaBlockFacts& facts, Findings& findings);
void check_ea_inode(const FileSystem& fs, const EaInodeFacts& facts, Findings& findings);

// The inodes that the superblock names as quota files; the files against what was counted.
void check_quota_inodes(const FileSystem& fs, Findings& findings);
void check_quota_file(const FileSystem& fs, const QuotaFileFacts& facts, const QuotaUsage& counted, Findings& findings);
void check_mmp(const FileSystem& fs, const MmpFacts& facts, Findings& findings);
// Features that the inodes need.
void check_needed_features(const FileSystem& fs, const InodeScan& scan, Findings& findings);
// A defect of a directory's block or entry, or of its index, as a finding.
void check_entry(const FileSystem& fs, const EntryDefect& defect, Findings& findings);
void check_htree(const FileSystem& fs, InodeNo directory, const HtreeDefect& defect, Findings& findings);
// The tree of all directories, and lost+found.
void check_connectivity(const FileSystem& fs, const InodeScan& scan, const DirectoryScan& facts, Findings& findings);
// i_links_count of all inodes, and those without a name.
void check_links(const FileSystem& fs, const InodeScan& scan, const DirectoryScan& facts, Findings& findings);

// Bitmaps and counts of one group.
void check_group(const FileSystem& fs, const GroupFacts& facts, const GroupTally& tally, Findings& findings);
// Inodes of the group that are gone, by what still counts them.
void check_lost_inodes(GroupNo group, uint32_t lost, Findings& findings);
// A finding for each block and each group whose inodes its names lead to.
void check_lost_names(const FileSystem& fs, const LostNameSearch& search, Findings& findings);
// The superblock's totals, in clusters and inodes.
void check_totals(const FileSystem& fs, uint64_t free_clusters, uint64_t free_inodes, Findings& findings);
// What lies on blocks that cannot be read. What is in `findings` as a read error already is left out.
void check_unreadable(const FileSystem& fs, const DirectoryTable& directories, const std::vector<Owner>& owners,
                      Findings& findings);
void check_owners(const FileSystem& fs, const std::vector<Owner>& owners, Findings& findings);
// What lies behind the end of an image that is cut short, one finding an inode and one for the tables of groups that follow
// each other. `owners`: of all blocks there. What only the missing blocks make look wrong is taken out of `findings`.
void check_missing(const FileSystem& fs, const InodeScan& scan, const std::vector<Owner>& owners, Findings& findings);

// The flags of the inode whose feature is off.
[[nodiscard]] uint32_t flags_without_feature(const Geometry& geometry, const Inode& inode);
// i_block begins with the header of an extent tree that could be meant as one.
[[nodiscard]] bool looks_like_extents(const Inode& inode);

// An inode field that must be zero where nothing uses it, for the rule and its repair.
struct ZeroField {
  const char* name;
  size_t offset, size;  // bytes, in the inode
};
[[nodiscard]] const ZeroField* find_zero_field(std::string_view name);

}  // namespace extscrub
