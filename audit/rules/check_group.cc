#include <fmt/format.h>

#include <algorithm>
#include <map>

#include <unordered_map>

#include "audit/catalogue/field.h"
#include "audit/rules/rules.h"
#include "scan/filesystem/table_search.h"
#include "scan/format/checksum.h"

namespace extscrub {

namespace {

Finding& add(Findings& findings, Problem problem, GroupNo group) {
  Finding& f = findings.emplace_back();
  f.problem = problem;
  f.group = group;
  return f;
}

void compare(Findings& findings, Problem problem, GroupNo group, const char* field, uint64_t expected, uint64_t found) {
  if (expected == found) return;
  Finding& f = add(findings, problem, group);
  f.field = field;
  f.evidence = WrongNumber{expected, found};
}

Problem location_problem(MetadataKind kind) {
  return kind == MetadataKind::block_bitmap   ? Problem::group_block_bitmap_location
         : kind == MetadataKind::inode_bitmap ? Problem::group_inode_bitmap_location
                                              : Problem::group_inode_table_location;
}

// That is a finding of check_moved().
bool is_off_its_place(const FileSystem& fs, GroupNo group, Problem problem) {
  return std::ranges::any_of(
      fs.moved, [&](const MovedStructure& m) { return m.is_lost() && m.group == group && location_problem(m.kind) == problem; });
}

void check_location(const FileSystem& fs, GroupNo group, Problem problem, std::string_view field, BlockNo at, uint32_t count,
                    Findings& findings) {
  if (valid_location(fs.geometry, group, at, count) || (!at && is_off_its_place(fs, group, problem))) return;
  Finding& f = add(findings, problem, group);
  f.field = field;
  f.block = at;
  f.evidence = WrongNumber{{}, at.value};
}

std::string_view location_field(MetadataKind kind) {
  return kind == MetadataKind::block_bitmap   ? field::bg_block_bitmap
         : kind == MetadataKind::inode_bitmap ? field::bg_inode_bitmap
                                              : field::bg_inode_table;
}

// A bitmap that lies where the device cannot be trusted.
void check_bad_block(const FileSystem& fs, GroupNo group, std::string_view field, BlockNo at, Findings& findings) {
  if (!std::ranges::binary_search(fs.bad_blocks, at)) return;
  Finding& f = add(findings, Problem::group_bitmap_bad_block, group);
  f.field = field;
  f.block = at;
}

void check_flags(const FileSystem& fs, GroupNo group, const GroupDesc& d, const GroupTally& tally, Findings& findings) {
  const Geometry& g = fs.geometry;
  const uint16_t uninit = d.flags & (EXT2_BG_BLOCK_UNINIT | EXT2_BG_INODE_UNINIT);
  if (!g.group_csum() && (d.flags & EXT2_BG_INODE_UNINIT) && tally.inodes_used > 0) {
    Finding& f = add(findings, Problem::group_flags, group);
    f.field = "bg_flags";
    f.evidence = Note{"", fmt::format("{:#x}, but {} inodes of the group are in use", d.flags, tally.inodes_used)};
  } else if (!g.group_csum() && (uninit || d.itable_unused != 0)) {
    Finding& f = add(findings, Problem::group_flags_ignored, group);
    f.field = uninit ? "bg_flags" : "bg_itable_unused";
    f.evidence =
        Note{"", uninit ? fmt::format("{:#x} without metadata_csum or uninit_bg", d.flags) : fmt::to_string(d.itable_unused)};
  } else if (d.block_uninit() && group.value + 1 == g.groups && g.group_csum()) {
    Finding& f = add(findings, Problem::group_flags, group);
    f.field = "bg_flags";
    f.evidence = Note{"", fmt::format("{:#x}, but the bitmap of the last group is never left uninitialised", d.flags)};
  }
}

void check_unused(const FileSystem& fs, GroupNo group, const GroupDesc& d, const GroupTally& tally, Findings& findings) {
  const Geometry& g = fs.geometry;
  if (!g.group_csum() || !d.checksum_ok) return;
  const uint32_t most = g.inodes_per_group - std::min(tally.last_used, g.inodes_per_group);
  if (d.itable_unused <= most) return;
  Finding& f = add(findings, Problem::group_itable_unused, group);
  f.field = "bg_itable_unused";
  f.evidence = WrongNumber{most, d.itable_unused, Radix::decimal, true};
}

void check_bitmap_checksum(const BitmapFacts& b, Problem problem, GroupNo group, BlockNo at, Findings& findings) {
  if (b.checksum_ok) return;
  Finding& f = add(findings, problem, group);
  f.block = at;
  f.evidence = WrongNumber{b.checksum_expected, b.checksum_found, Radix::hex};
}

void check_readable(const BitmapFacts& b, GroupNo group, BlockNo at, UnreadPart part, MetadataKind kind, Findings& findings) {
  if (b.readable) return;
  Finding& f = add(findings, Problem::read_error, group);
  f.block = at;
  f.evidence = Unreadable{part, std::string(name(kind))};
}

void check_block_bits(const FileSystem& fs, const GroupFacts& facts, Findings& findings) {
  const Geometry& g = fs.geometry;
  const auto report = [&](const std::vector<BitRun>& runs, WrongBits bits) {
    for (const BitRun& run : runs) {
      Finding& f = add(findings, Problem::block_bitmap_mismatch, facts.group);
      f.block = g.group_first(facts.group) + (uint64_t{run.first} << g.cluster_bits);
      f.block_count = std::min(uint64_t{run.count} << g.cluster_bits, g.blocks - f.block->value);
      f.evidence = bits;
    }
  };
  report(facts.blocks.missing, {.should_be_set = true, .uninit = facts.blocks.uninit});
  report(facts.blocks.stale, {.should_be_set = false});
}

void check_inode_bits(const FileSystem& fs, const GroupFacts& facts, Findings& findings) {
  const auto report = [&](const std::vector<BitRun>& runs, WrongBits bits) {
    for (const BitRun& run : runs)
      for (uint32_t i = 0; i < run.count; ++i) {
        Finding& f = add(findings, Problem::inode_bitmap_mismatch, facts.group);
        f.inode = fs.geometry.group_first_inode(facts.group) + (run.first + i);
        f.evidence = bits;
      }
  };
  report(facts.inodes.missing, {.should_be_set = true});
  report(facts.inodes.stale, {.should_be_set = false});
}

}  // namespace

void check_desc_checksum(const FileSystem& fs, GroupNo group, const GroupDesc& d, Findings& findings) {
  const Geometry& g = fs.geometry;
  Finding& f = add(findings, Problem::group_desc_checksum, group);
  f.field = "bg_checksum";
  f.block = g.desc_block(group.value / g.desc_per_block, GroupNo());
  f.evidence = Note{"", fmt::format("{:#06x}", d.checksum)};
}

void check_group_desc(const FileSystem& fs, GroupNo group, const GroupTally& tally, Findings& findings) {
  const Geometry& g = fs.geometry;
  const GroupDesc& d = fs.groups[group.value];
  if (!d.readable) {
    Finding& f = add(findings, Problem::read_error, group);
    f.block = g.desc_block(group.value / g.desc_per_block, GroupNo());
    f.evidence = Unreadable{UnreadPart::group_descriptor, "group descriptor"};
    return;
  }
  if (!d.checksum_ok) check_desc_checksum(fs, group, d, findings);
  check_location(fs, group, Problem::group_block_bitmap_location, field::bg_block_bitmap, d.block_bitmap, 1, findings);
  check_location(fs, group, Problem::group_inode_bitmap_location, field::bg_inode_bitmap, d.inode_bitmap, 1, findings);
  check_location(fs, group, Problem::group_inode_table_location, field::bg_inode_table, d.inode_table, g.itable_blocks, findings);
  check_bad_block(fs, group, field::bg_block_bitmap, d.block_bitmap, findings);
  check_bad_block(fs, group, field::bg_inode_bitmap, d.inode_bitmap, findings);
  check_flags(fs, group, d, tally, findings);
  check_unused(fs, group, d, tally, findings);
}

namespace {

constexpr const char* kClaimed = ", which something else claims";

uint32_t claimed_blocks(const Geometry& g, const InodeScan& scan, BlockNo first, uint32_t count) {
  uint32_t claimed = 0;
  for (BlockNo at = first; at < first + count; ++at)
    claimed += scan.claimed_again.test(g, at) || scan.metadata_as_nodes.contains(at);
  return claimed;
}

// A table is not given up lightly. Of one that is hardly used, or not at all, its contents say little.
bool is_taken(const FileSystem& fs, GroupNo group, BlockNo table, uint32_t inodes, uint32_t claimed) {
  constexpr uint32_t kFewInodes = 8;
  if (inodes < kFewInodes && claimed * 2 < fs.geometry.itable_blocks) return false;
  return holds_no_inodes(fs, group, table, inodes);
}

// A bitmap is made anew in any case: only what is behind a map's node would not be seen.
bool has_node(const InodeScan& scan, BlockNo first, uint32_t count) {
  const auto at = scan.nodes_in_metadata.lower_bound(first);
  return at != scan.nodes_in_metadata.end() && *at < first + count;
}

}  // namespace

void check_moved(const FileSystem& fs, Findings& findings) {
  for (const MovedStructure& m : fs.moved) {
    Finding& f = add(findings, location_problem(m.kind), m.group);
    f.field = location_field(m.kind);
    f.block = m.stored;
    f.evidence = m.is_lost() ? WrongNumber{{}, m.stored.value, Radix::decimal, false, kClaimed}
                             : WrongNumber{m.found.value, m.stored.value};
  }
}

std::vector<ClaimedStructure> claimed_structures(const FileSystem& fs, const InodeScan& scan) {
  std::vector<ClaimedStructure> out;
  const Geometry& g = fs.geometry;
  if (!scan.any_claimed_again && scan.metadata_as_nodes.empty()) return out;
  for (GroupNo group; group.value < g.groups; ++group)
    for (const MetadataKind kind : {MetadataKind::block_bitmap, MetadataKind::inode_bitmap, MetadataKind::inode_table}) {
      const BlockNo at = place_in(fs.groups[group.value], kind);
      const bool table = kind == MetadataKind::inode_table;
      const uint32_t count = table ? g.itable_blocks : 1;
      const uint32_t claimed = valid_location(g, group, at, count) ? claimed_blocks(g, scan, at, count) : 0;
      if (claimed == 0) continue;
      const bool taken = table ? is_taken(fs, group, at, scan.tallies[group.value].scanned, claimed) : has_node(scan, at, count);
      out.push_back({group, kind, taken});
    }
  return out;
}

void check_claimed(const FileSystem& fs, const InodeScan& scan, Findings& findings) {
  for (const auto& [group, kind, is_taken] : claimed_structures(fs, scan)) {
    if (kind == MetadataKind::inode_table) continue;  // one that is none is not there any more
    const GroupDesc& d = fs.groups[group.value];
    const BlockNo at = place_in(d, kind);
    // A bitmap that is one has been there before whoever claims its block.
    if (bitmap_evidence(fs, group, kind, d, at) == Evidence::for_it) continue;
    Finding& f = add(findings, location_problem(kind), group);
    f.field = location_field(kind);
    f.block = at;
    f.evidence = WrongNumber{{}, at.value, Radix::decimal, false, kClaimed};
  }
}

void check_metadata_overlaps(const MetadataMap& map, Findings& findings) {
  for (const MetadataOverlap& o : map.overlaps()) {
    Finding& f = add(findings, Problem::group_metadata_overlap, o.b.group);
    f.block = o.block;
    f.block_count = std::min(o.a.end(), o.b.end()) - o.block;
    f.evidence = Note{"", fmt::format("{} of group {} and {} of group {}", name(o.a.kind), o.a.group, name(o.b.kind), o.b.group)};
  }
}

UnreadPart unread_part(MetadataKind kind) {
  switch (kind) {
    case MetadataKind::descriptors: return UnreadPart::descriptor_blocks;
    case MetadataKind::block_bitmap: return UnreadPart::block_bitmap;
    case MetadataKind::inode_bitmap: return UnreadPart::inode_bitmap;
    case MetadataKind::inode_table: return UnreadPart::inode_table;
    case MetadataKind::superblock:
    case MetadataKind::mmp: break;
  }
  return UnreadPart::other;
}

void check_read_failures(const std::vector<ReadFailure>& failures, Findings& findings) {
  for (const ReadFailure& r : failures) {
    Finding& f = add(findings, Problem::read_error, r.group);
    f.block = r.block;
    f.evidence = Unreadable{r.kind == MetadataKind::descriptors ? UnreadPart::group_descriptor : unread_part(r.kind),
                            fmt::format("{}: {}", name(r.kind), text_of(r.error))};
  }
}

void check_group(const FileSystem& fs, const GroupFacts& facts, const GroupTally& tally, Findings& findings) {
  const GroupDesc& d = fs.groups[facts.group.value];
  check_readable(facts.blocks, facts.group, d.block_bitmap, UnreadPart::block_bitmap, MetadataKind::block_bitmap, findings);
  check_readable(facts.inodes, facts.group, d.inode_bitmap, UnreadPart::inode_bitmap, MetadataKind::inode_bitmap, findings);
  check_bitmap_checksum(facts.blocks, Problem::block_bitmap_checksum, facts.group, d.block_bitmap, findings);
  check_bitmap_checksum(facts.inodes, Problem::inode_bitmap_checksum, facts.group, d.inode_bitmap, findings);
  if (!facts.blocks.padding_ok) add(findings, Problem::block_bitmap_padding, facts.group).block = d.block_bitmap;
  if (!facts.inodes.padding_ok) add(findings, Problem::inode_bitmap_padding, facts.group).block = d.inode_bitmap;
  check_block_bits(fs, facts, findings);
  check_inode_bits(fs, facts, findings);
  if (!d.readable) return;
  compare(findings, Problem::group_free_blocks, facts.group, "bg_free_blocks_count", facts.blocks.counted_free, d.free_clusters);
  compare(findings, Problem::group_free_inodes, facts.group, "bg_free_inodes_count", facts.inodes.counted_free, d.free_inodes);
  compare(findings, Problem::group_used_dirs, facts.group, "bg_used_dirs_count", tally.directories, d.used_dirs);
}

void check_lost_inodes(GroupNo group, uint32_t lost, Findings& findings) {
  if (lost == 0) return;
  add(findings, Problem::inodes_lost, group).evidence = Note{"", fmt::format("at least {} in use are gone", lost)};
}

void check_lost_names(const FileSystem& fs, const LostNameSearch& search, Findings& findings) {
  for (const LostNames& block : search.found) {
    std::map<GroupNo, std::string> names;
    for (const LostName& n : block.names) {
      std::string& list = names[fs.geometry.group_of(n.inode)];
      fmt::format_to(std::back_inserter(list), "{}'{}' (inode {})", list.empty() ? "" : ", ", n.name, n.inode);
    }
    for (auto& [group, list] : names) {
      Finding& f = add(findings, Problem::names_lost, group);
      f.block = block.block;
      const bool ends = !search.whole && &block == &search.found.back() && group == names.rbegin()->first;
      f.evidence = Note{"", fmt::format("{}{}{}", block.directory ? fmt::format("in directory {}: ", block.directory) : "", list,
                                        ends ? "; the search ended here, there may be more" : "")};
    }
  }
}

// Files without number may share all their blocks: of each the first places are enough to see that.
void check_owners(const FileSystem& fs, const std::vector<Owner>& owners, Findings& findings) {
  constexpr uint32_t kMostPlaces = 100;  // of one inode
  std::unordered_map<InodeNo, uint32_t> places;
  for (const Owner& o : owners) {
    if (o.use != Owner::Use::metadata && ++places[o.inode] > kMostPlaces) continue;
    Finding& f = findings.emplace_back();
    f.problem = Problem::block_multiply_claimed;
    f.block = o.first;
    f.block_count = o.count;
    if (o.use == Owner::Use::metadata) {
      f.group = o.group;
      f.evidence = Note{"", fmt::format("{} of group {}", name(o.metadata), o.group)};
      continue;
    }
    f.inode = o.inode;
    f.group = fs.geometry.group_of(o.inode);
    if (o.use == Owner::Use::data) f.logical = o.logical;
    f.evidence = Note{"", o.use == Owner::Use::data       ? "data"
                          : o.use == Owner::Use::map_node ? "node of the block map"
                                                          : "attribute block"};
  }
}

}  // namespace extscrub
