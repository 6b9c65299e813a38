#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <set>

#include "audit/repair/repair.h"
#include "scan/format/checksum.h"

namespace extscrub {

namespace {

bool is_group_repair(Problem p) {
  switch (p) {
    case Problem::group_desc_checksum:
    case Problem::group_flags:
    case Problem::group_flags_ignored:
    case Problem::group_itable_unused:
    case Problem::group_free_blocks:
    case Problem::group_free_inodes:
    case Problem::group_used_dirs:
    case Problem::block_bitmap_checksum:
    case Problem::inode_bitmap_checksum:
    case Problem::block_bitmap_mismatch:
    case Problem::inode_bitmap_mismatch:
    case Problem::block_bitmap_padding:
    case Problem::inode_bitmap_padding: return true;
    default: return false;
  }
}

bool is_group_damage(Problem p) {
  switch (p) {
    case Problem::group_block_bitmap_location:
    case Problem::group_inode_bitmap_location:
    case Problem::group_inode_table_location:
    case Problem::group_metadata_overlap: return true;
    default: return false;
  }
}

uint32_t zeros(Bytes bitmap, uint32_t valid) {
  uint32_t ones = 0;
  for (uint32_t i = 0; i < valid / 8; ++i) ones += static_cast<uint32_t>(std::popcount(std::to_integer<uint8_t>(bitmap[i])));
  for (uint32_t bit = valid / 8 * 8; bit < valid; ++bit) ones += test_bit(bitmap, bit);
  return valid - ones;
}

// The bitmap as it should be, with what is stored kept where not everything was seen.
Result<std::vector<std::byte>> wanted_bitmap(const RepairRound& round, GroupNo group, const GroupBits& bits, uint32_t valid,
                                             BlockNo at, bool keep_stored) {
  std::vector<std::byte> wanted(round.run.fs.geometry.block_size);
  make_bitmap(bits, group, valid, wanted);
  if (keep_stored) {
    std::vector<std::byte> stored(wanted.size());
    if (auto r = round.overlay.read(at, stored); !r) return std::unexpected(r.error());
    for (size_t i = 0; i < wanted.size(); ++i) wanted[i] |= stored[i];
  }
  return wanted;
}

Result<void> stage_block(Overlay& overlay, BlockNo at, Bytes bytes) {
  auto block = overlay.edit(at);
  if (!block) return std::unexpected(block.error());
  std::ranges::copy(bytes, block->begin());
  return {};
}

Result<void> repair_group(RepairRound& round, GroupNo group, bool exact) {
  const FileSystem& fs = round.run.fs;
  const Geometry& g = fs.geometry;
  const InodeScan& scan = *round.run.scan;
  GroupDesc d = fs.groups[group.value];
  const auto clusters = static_cast<uint32_t>(g.clusters(group));

  // The flags of a descriptor with a wrong checksum were not believed: everything was read, and is initialised now.
  const bool flags_wrong = std::ranges::any_of(round.findings, [&](const Finding& f) {
    return f.group == group && f.problem == Problem::group_flags;
  });
  const bool trusted = g.group_csum() && d.checksum_ok && !flags_wrong;
  const bool block_uninit = trusted && d.block_uninit(), inode_uninit = trusted && d.inode_uninit();
  const auto blocks = wanted_bitmap(round, group, scan.claims, clusters, d.block_bitmap, !exact && !block_uninit);
  if (!blocks) return std::unexpected(blocks.error());
  const auto inodes = wanted_bitmap(round, group, scan.used, g.inodes_per_group, d.inode_bitmap, !exact && !inode_uninit);
  if (!inodes) return std::unexpected(inodes.error());

  const bool any_blocks_missing = std::ranges::any_of(round.findings, [&](const Finding& f) {
    return f.group == group && f.problem == Problem::block_bitmap_mismatch;
  });
  if (!block_uninit || any_blocks_missing) {
    if (auto r = stage_block(round.overlay, d.block_bitmap, *blocks); !r) return r;
    d.block_bitmap_csum = bitmap_checksum(g, *blocks, g.clusters_per_group);
    d.flags &= static_cast<uint16_t>(~EXT2_BG_BLOCK_UNINIT);
  }
  if (!inode_uninit) {
    if (auto r = stage_block(round.overlay, d.inode_bitmap, *inodes); !r) return r;
    d.inode_bitmap_csum = bitmap_checksum(g, *inodes, g.inodes_per_group);
    d.flags &= static_cast<uint16_t>(~EXT2_BG_INODE_UNINIT);
  }
  d.free_clusters = zeros(*blocks, clusters);
  d.free_inodes = inode_uninit ? g.inodes_per_group : zeros(*inodes, g.inodes_per_group);
  d.used_dirs = scan.tallies[group.value].directories;
  const uint32_t most_unused = g.inodes_per_group - std::min(scan.tallies[group.value].last_used, g.inodes_per_group);
  d.itable_unused = trusted ? std::min(d.itable_unused, most_unused) : 0;

  auto block = round.overlay.edit(g.desc_block(group.value / g.desc_per_block, GroupNo()));
  if (!block) return std::unexpected(block.error());
  encode_group_desc(g, fs.super, group, d, block->subspan(size_t{group.value % g.desc_per_block} * g.desc_size, g.desc_size));
  return {};
}

// What the inode names as its blocks may not be its own.
bool is_about_blocks(Problem p) {
  if (is_map_damage(p)) return true;
  switch (p) {
    case Problem::block_multiply_claimed:
    case Problem::inode_mode:
    case Problem::inode_flags:
    case Problem::inode_symlink:
    case Problem::ea_block_location:
    case Problem::journal_inode_missing:
    case Problem::root_not_directory:
    case Problem::directory_without_blocks:
    case Problem::inode_misplaced_directory: return true;
    default: return false;
  }
}

// Groups with a bitmap on a block that something else claims, or that another structure lies on.
std::set<GroupNo> groups_without_place(const RepairRound& round) {
  std::set<GroupNo> groups;
  for (const ClaimedStructure& c : claimed_structures(round.fs(), *round.run.scan))
    if (c.kind != MetadataKind::inode_table) groups.insert(c.group);
  for (const MetadataOverlap& o : round.fs().metadata.overlaps()) groups.insert({o.a.group, o.b.group});
  return groups;
}

}  // namespace

bool loss_is_pending(const RepairRound& round) {
  if (round.lossy()) return false;
  if (!round.run.scan->broken_maps.empty() || !round.run.scan->failures.empty()) return true;
  return std::ranges::any_of(round.findings, [](const Finding& f) { return is_about_blocks(f.problem); });
}

bool all_was_seen(const RepairRound& round) {
  if (!round.run.scan->broken_maps.empty() || !round.run.scan->failures.empty()) return false;
  return std::ranges::none_of(round.findings, [&](const Finding& f) {
    return (f.problem == Problem::inodes_lost && !round.lossy()) || f.problem == Problem::group_inode_table_location ||
           f.problem == Problem::group_metadata_overlap || f.problem == Problem::read_error || f.problem == Problem::inode_extra_isize ||
           f.problem == Problem::ea_block_location || f.problem == Problem::inode_flags || f.problem == Problem::inode_mode ||
           f.problem == Problem::inode_dtime_zero ||
           // A name leads to an inode that looks free: its link count may be what is damaged.
           f.problem == Problem::entry_inode_unused || f.problem == Problem::entry_inode_uninit;
  });
}

Result<size_t> repair_groups(RepairRound& round) {
  std::set<GroupNo> to_repair, beyond = groups_without_place(round);
  const bool pending = loss_is_pending(round);
  for (const Finding& f : round.findings) {
    if (!f.group) continue;
    // The count follows from what may be about to change.
    if (is_group_repair(f.problem) && !(pending && f.problem == Problem::group_free_blocks)) to_repair.insert(*f.group);
    if (is_group_damage(f.problem) || f.problem == Problem::read_error) beyond.insert(*f.group);
    // The bitmaps and counts are all that tells of them.
    if (f.problem == Problem::inodes_lost && !round.may(f.problem)) beyond.insert(*f.group);
  }
  const bool exact = all_was_seen(round) && !pending;
  size_t answered = 0;
  for (const GroupNo group : to_repair) {
    if (beyond.contains(group)) continue;
    if (auto r = repair_group(round, group, exact); !r) return std::unexpected(r.error());
    for (Finding& f : round.findings) {
      if (f.group == group && f.problem == Problem::names_lost && round.may(Problem::inodes_lost)) round.lose(f, f.found);
      if (f.group != group || (!is_group_repair(f.problem) && f.problem != Problem::inodes_lost)) continue;
      // Bits that look stale stay set while something may be hidden.
      if (!exact && f.expected == "free") continue;
      f.repair = RepairState::staged;
      ++answered;
      if (f.problem == Problem::inodes_lost) round.lose(f, fmt::format("inodes of group {}: {}, with what they held", group, f.found));
    }
  }
  return answered;
}

}  // namespace extscrub
