// The repairs: what follows from the findings is staged in the overlay. They never write to the image. For one thread.
//
// A repair is a function of a pass (see passes.def) that goes through the findings which name it, changes the overlay, sets those
// it answered to RepairState::staged and returns how many they were. It keeps to what the policy allows (round.may()), reports
// what is lost (round.lose()), and says when the audit's facts no longer describe the overlay (round.stale). plan_repairs() calls
// them layer by layer, from what everything else is found by to what is counted last, and audits again when facts are stale: a
// repair may rely on all layers before its own being sound, or beyond repair.
#pragma once

#include "audit/edit/round.h"

namespace extscrub {

// The primary superblock and descriptors, from the backup that was gone by.
[[nodiscard]] Result<size_t> repair_primary(RepairRound& round);

// Fields and features of the superblock that cannot be.
[[nodiscard]] Result<size_t> repair_superblock_fields(RepairRound& round);

// Bitmaps and inode tables that are not where they can be: the descriptors are mended, or the structures made anew.
[[nodiscard]] Result<size_t> repair_descriptors(RepairRound& round);

// The journal's inode, its superblock, its log.
[[nodiscard]] Result<size_t> repair_journal(RepairRound& round);

// Blocks of directories that are in no map, and say whose they are: they get back into their place.
[[nodiscard]] Result<size_t> repair_lost_directory_blocks(RepairRound& round);

// Fields of inodes, their checksums, those of their extent blocks; a root that is no directory.
[[nodiscard]] Result<size_t> repair_inodes(RepairRound& round);

// Features of the superblock that the inodes need.
[[nodiscard]] Result<size_t> repair_features(RepairRound& round);

// Damaged block maps: what can be believed of them is written anew.
[[nodiscard]] Result<size_t> repair_maps(RepairRound& round);

// Blocks that are claimed more than once: all owners but one get copies.
[[nodiscard]] Result<size_t> repair_shared_blocks(RepairRound& round);

// Entries with a wrong inode number, of what has no name: they name it again.
[[nodiscard]] Result<size_t> repair_entries(RepairRound& round);

// The names in directories, their blocks and indexes; each directory by itself.
[[nodiscard]] Result<size_t> repair_directories(RepairRound& round);

// The tree of directories: one entry each, `..`, and those that no way leads to.
[[nodiscard]] Result<size_t> repair_tree(RepairRound& round);

// Inodes without a name; when all have one, link counts.
[[nodiscard]] Result<size_t> repair_links(RepairRound& round);

// The orphan list and the orphan file, where the release before the audit could not follow them.
[[nodiscard]] Result<size_t> repair_orphans(RepairRound& round);

// The resize inode, and blocks reserved for descriptors without one.
[[nodiscard]] Result<size_t> repair_resize_inode(RepairRound& round);

// The block of multiple-mount protection.
[[nodiscard]] Result<size_t> repair_mmp(RepairRound& round);

// The inodes that are to be quota files; and the files, when all usage is known.
[[nodiscard]] Result<size_t> repair_quota_inodes(RepairRound& round);
[[nodiscard]] Result<size_t> repair_quota_files(RepairRound& round);

// Extended attributes, in inodes, in blocks, and with values in inodes of their own.
[[nodiscard]] Result<size_t> repair_attributes(RepairRound& round);

// Inline data without its attribute, encryption without a policy.
[[nodiscard]] Result<size_t> repair_inline_data(RepairRound& round);

// Bitmaps, the descriptors' counts, flags and checksums, for each group with a finding.
[[nodiscard]] Result<size_t> repair_groups(RepairRound& round);

// The superblock's totals and checksum.
[[nodiscard]] Result<size_t> repair_superblock(RepairRound& round);

// Copies of the superblock and the descriptors, from the primary.
[[nodiscard]] Result<size_t> repair_backups(RepairRound& round);

// When no other repair changes anything any more: clears directories that have no block where no block is free. Nothing
// unless all repairs are allowed, and all that is in use was seen.
[[nodiscard]] Result<size_t> give_up_directories(RepairRound& round);

// Sets the primary superblock's state in the overlay: valid and without an error mark, or not valid; sealed.
[[nodiscard]] Result<void> stage_state(Overlay& overlay, bool clean, uint32_t now);

}  // namespace extscrub
