#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <set>

#include "audit/repair/repair.h"
#include "scan/format/checksum.h"

namespace extscrub {

namespace {

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
  const auto is = [](Problem p) { return [p](const Finding& f) { return f.problem == p; }; };
  const bool flags_wrong = std::ranges::any_of(round.findings.in(group), is(Problem::group_flags));
  const bool trusted = g.group_csum() && d.checksum_ok && !flags_wrong;
  const bool block_uninit = trusted && d.block_uninit(), inode_uninit = trusted && d.inode_uninit();
  const auto blocks = wanted_bitmap(round, group, scan.claims, clusters, d.block_bitmap, !exact && !block_uninit);
  if (!blocks) return std::unexpected(blocks.error());
  const auto inodes = wanted_bitmap(round, group, scan.used, g.inodes_per_group, d.inode_bitmap, !exact && !inode_uninit);
  if (!inodes) return std::unexpected(inodes.error());

  const bool any_blocks_missing = std::ranges::any_of(round.findings.in(group), is(Problem::block_bitmap_mismatch));
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
  return round.findings.any_hides(Hidden::blocks);
}

bool all_was_seen(const RepairRound& round) {
  if (!round.run.scan->broken_maps.empty() || !round.run.scan->failures.empty()) return false;
  return !round.findings.any_hides(Hidden::claims) && (round.lossy() || !round.findings.any_hides(Hidden::gone));
}

Result<size_t> repair_groups(RepairRound& round) {
  std::set<GroupNo> to_repair, beyond = groups_without_place(round);
  const bool pending = loss_is_pending(round);
  for (const Finding& f : round.findings.of(Pass::groups)) {
    if (!f.group || f.problem == Problem::inodes_lost) continue;
    // The count follows from what may be about to change.
    if (!pending || f.problem != Problem::group_free_blocks) to_repair.insert(*f.group);
  }
  for (const Finding& f : round.findings.that_hide(Hidden::structures))
    if (f.group) beyond.insert(*f.group);
  // The bitmaps and counts are all that tells of them.
  for (const Finding& f : round.findings.that_hide(Hidden::gone))
    if (f.group && !round.may(f.problem)) beyond.insert(*f.group);
  const bool exact = all_was_seen(round) && !pending;
  size_t answered = 0;
  for (const GroupNo group : to_repair) {
    if (beyond.contains(group)) continue;
    if (auto r = repair_group(round, group, exact); !r) return std::unexpected(r.error());
    for (Finding& f : round.findings.in(group)) {
      if (f.problem == Problem::names_lost && round.may(Problem::inodes_lost)) round.lose(f, texts_of(f.evidence).found);
      if (!info(f.problem).mend.passes.has(Pass::groups)) continue;
      // Bits that look stale stay set while something may be hidden.
      if (!exact && is_stale_bit(f.evidence)) continue;
      f.repair = RepairState::staged;
      ++answered;
      if (f.problem == Problem::inodes_lost)
        round.lose(f, fmt::format("inodes of group {}: {}, with what they held", group, texts_of(f.evidence).found));
    }
  }
  return answered;
}

}  // namespace extscrub
