// Descriptors that name places where their structures cannot be. A backup descriptor is asked first; a bitmap can be
// made anew anywhere; an inode table is looked for where mke2fs puts it, and only then begun anew, empty.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "audit/catalogue/field.h"
#include "audit/repair/repair.h"
#include "scan/filesystem/table_search.h"
#include "scan/format/checksum.h"

namespace extscrub {

namespace {

struct Structure {
  GroupNo group;
  MetadataKind kind{};
  auto operator<=>(const Structure&) const = default;
};

bool is_movable(MetadataKind kind) {
  return kind == MetadataKind::block_bitmap || kind == MetadataKind::inode_bitmap || kind == MetadataKind::inode_table;
}

uint32_t blocks_of(const Geometry& g, MetadataKind kind) { return kind == MetadataKind::inode_table ? g.itable_blocks : 1; }

class DescriptorRepair {
 public:
  explicit DescriptorRepair(RepairRound& round)
      : round_(round), fs_(round.fs()), g_(round.geometry()), copies_(descriptor_copies(round.fs())) {}

  Result<size_t> run() {
    for (Finding& f : round_.findings.of(Pass::descriptors)) take(f);
    for (Finding& f : round_.findings.of(Problem::group_metadata_overlap)) take_overlap(f);
    // What is free without the inodes of a table that is found again is not free: the bitmaps wait for the next round.
    auto answered = place_all(true);
    if (answered && *answered == 0) answered = place_all(false);
    if (!answered) return answered;
    for (const auto& [group, desc] : changed_)
      if (auto r = store(group, desc); !r) return std::unexpected(r.error());
    if (*answered > 0) round_.stale = true;
    return answered;
  }

 private:
  Result<size_t> place_all(bool tables) {
    size_t answered = 0;
    for (const auto& [structure, findings] : wrong_) {
      if ((structure.kind == MetadataKind::inode_table) != tables) continue;
      auto placed = place(structure, *findings.front());
      if (!placed) return std::unexpected(placed.error());
      if (!*placed) continue;
      for (Finding* f : findings) f->repair = RepairState::staged;
      answered += findings.size();
    }
    return answered;
  }

  void take(Finding& f) {
    switch (f.problem) {
      case Problem::group_block_bitmap_location: wrong_[{*f.group, MetadataKind::block_bitmap}].push_back(&f); break;
      case Problem::group_inode_bitmap_location: wrong_[{*f.group, MetadataKind::inode_bitmap}].push_back(&f); break;
      case Problem::group_inode_table_location: wrong_[{*f.group, MetadataKind::inode_table}].push_back(&f); break;
      case Problem::group_bitmap_bad_block:
        wrong_[{*f.group, f.field == field::bg_block_bitmap ? MetadataKind::block_bitmap : MetadataKind::inode_bitmap}].push_back(
            &f);
        break;
      default: break;
    }
  }

  void take_overlap(Finding& f) {
    for (const MetadataOverlap& o : fs_.metadata.overlaps())
      if (o.b.group == f.group && o.block == f.block)
        if (const auto which = intruder(o)) wrong_[*which].push_back(&f);
  }

  // Which of two structures on one block is not where it belongs.
  std::optional<Structure> intruder(const MetadataOverlap& o) const {
    const Structure a{o.a.group, o.a.kind}, b{o.b.group, o.b.kind};
    if (!is_movable(a.kind) && !is_movable(b.kind)) return {};
    if (!is_movable(a.kind)) return b;
    if (!is_movable(b.kind)) return a;
    if (wrong_.contains(a) != wrong_.contains(b)) return wrong_.contains(a) ? a : b;
    const bool a_moved = differs_from_copies(a), b_moved = differs_from_copies(b);
    if (a_moved != b_moved) return a_moved ? a : b;
    // A bitmap can be made anew, a table only lost.
    if ((a.kind == MetadataKind::inode_table) != (b.kind == MetadataKind::inode_table))
      return a.kind == MetadataKind::inode_table ? b : a;
    return std::max(a, b);
  }

  bool differs_from_copies(const Structure& s) const {
    return std::ranges::any_of(copies_, [&](const std::vector<GroupDesc>& copy) {
      const GroupDesc& d = copy[s.group.value];
      return d.readable && d.checksum_ok && place_in(d, s.kind) != place_in(fs_.groups[s.group.value], s.kind);
    });
  }

  Result<bool> place(const Structure& s, const Finding& cause) {
    if (!fs_.groups[s.group.value].readable || round_.policy == RepairPolicy::none) return false;
    if (is_found(s)) {  // evidence has shown where it is, and fs.groups says so: nothing is lost
      (void)descriptor(s.group);
      return true;
    }
    // What was stored when orphans were released.
    if (expected_number(cause.evidence) == place_in(fs_.groups[s.group.value], s.kind).value) return true;
    if (!round_.may(cause.problem)) return false;
    const bool table = s.kind == MetadataKind::inode_table;
    auto at = table ? find_table(fs_, s.group, copies_) : std::nullopt;
    if (!at) at = from_copies(s);
    if (!at && !round_.lossy() && (table || loss_is_pending(round_))) return false;
    if (!at) {
      auto fresh = table ? new_table(s.group, cause) : new_bitmap(s);
      if (!fresh) return std::unexpected(fresh.error());
      at = *fresh;
    }
    if (!at) return false;
    round_.blocks.reserve(*at, blocks_of(g_, s.kind));
    place_in(descriptor(s.group), s.kind) = *at;
    return true;
  }

  bool is_found(const Structure& s) const {
    return std::ranges::any_of(fs_.moved,
                               [&](const MovedStructure& m) { return m.group == s.group && m.kind == s.kind && !m.is_lost(); });
  }

  GroupDesc& descriptor(GroupNo group) {
    const auto [it, fresh] = changed_.try_emplace(group, descriptor_to_store(fs_, group));
    // What the flags hide was decided for other places, or by a descriptor that is damaged.
    const bool kept = it->second.checksum_ok &&
                      std::ranges::all_of(wrong_, [&](const auto& w) { return w.first.group != group || is_found(w.first); });
    if (kept) return it->second;
    if (fresh) it->second.flags &= static_cast<uint16_t>(~(EXT2_BG_BLOCK_UNINIT | EXT2_BG_INODE_UNINIT));
    if (fresh) it->second.itable_unused = 0;
    return it->second;
  }

  std::optional<BlockNo> from_copies(const Structure& s) const {
    for (const auto& copy : copies_) {
      const GroupDesc& d = copy[s.group.value];
      const BlockNo at = place_in(d, s.kind);
      const uint32_t count = blocks_of(g_, s.kind);
      if (d.readable && d.checksum_ok && at != place_in(fs_.groups[s.group.value], s.kind) &&
          valid_location(g_, s.group, at, count) && is_vacant(fs_, s.group, s.kind, at, count) && !is_taken(s, at, count))
        return at;
    }
    return {};
  }

  // A table may lie under what only its own inodes claim, but not where one was taken off.
  bool is_taken(const Structure& s, BlockNo at, uint32_t count) const {
    const bool lost = std::ranges::any_of(
        fs_.moved, [&](const MovedStructure& m) { return m.group == s.group && m.kind == s.kind && m.is_lost(); });
    if (s.kind == MetadataKind::inode_table && !lost) return false;
    for (uint32_t i = 0; i < count; ++i)
      if (round_.run.scan->claims.test(g_, at + i)) return true;
    return false;
  }

  // A bitmap of what was counted; the next round goes over it.
  Result<std::optional<BlockNo>> new_bitmap(const Structure& s) {
    const auto at = allocate(s.group, 1);
    if (!at) return at;
    auto block = round_.overlay.edit(*at);
    if (!block) return std::unexpected(block.error());
    const bool of_blocks = s.kind == MetadataKind::block_bitmap;
    make_bitmap(of_blocks ? round_.run.scan->claims : round_.run.scan->used, s.group,
                of_blocks ? static_cast<uint32_t>(g_.clusters(s.group)) : g_.inodes_per_group, *block);
    return at;
  }

  Result<std::optional<BlockNo>> new_table(GroupNo group, const Finding& cause) {
    const auto at = allocate(group, g_.itable_blocks);
    if (!at) return at;
    for (uint32_t i = 0; i < g_.itable_blocks; ++i) {
      auto block = round_.overlay.edit(*at + i);
      if (!block) return std::unexpected(block.error());
      std::ranges::fill(*block, std::byte{0});
    }
    round_.lose(cause, fmt::format("inode table of group {} begun anew; inodes {} to {} are lost", group,
                                   g_.group_first_inode(group), g_.group_first_inode(group) + (g_.inodes_per_group - 1)));
    return at;
  }

  std::optional<BlockNo> allocate(GroupNo group, uint32_t count) {
    if (auto inside = round_.blocks.allocate_run(g_.group_first(group), count, group)) return inside;
    if (!g_.has_incompat(EXT4_FEATURE_INCOMPAT_FLEX_BG)) return {};
    return round_.blocks.allocate_run(g_.group_first(group), count);
  }

  Result<void> store(GroupNo group, const GroupDesc& desc) {
    auto block = round_.overlay.edit(g_.desc_block(group.value / g_.desc_per_block, GroupNo()));
    if (!block) return std::unexpected(block.error());
    encode_group_desc(g_, fs_.super, group, desc,
                      block->subspan(size_t{group.value % g_.desc_per_block} * g_.desc_size, g_.desc_size));
    return {};
  }

  RepairRound& round_;
  const FileSystem& fs_;
  const Geometry& g_;
  std::vector<std::vector<GroupDesc>> copies_;
  std::map<Structure, std::vector<Finding*>> wrong_;
  std::map<GroupNo, GroupDesc> changed_;
};

}  // namespace

Result<size_t> repair_descriptors(RepairRound& round) {
  if (!round.findings.any(Pass::descriptors)) return 0;
  return DescriptorRepair(round).run();
}

}  // namespace extscrub
