#include "scan/load/descriptor_evidence.h"

#include <algorithm>
#include <set>

#include "scan/filesystem/table_search.h"

namespace extscrub {

namespace {

constexpr MetadataKind kKinds[] = {MetadataKind::inode_table, MetadataKind::block_bitmap, MetadataKind::inode_bitmap};

struct Doubt {
  GroupNo group;
  MetadataKind kind{};
  auto operator<=>(const Doubt&) const = default;
};

BlockNo nowhere(const Geometry& g) { return BlockNo(g.blocks); }

class Judge {
 public:
  explicit Judge(FileSystem& fs) : fs_(fs), g_(fs.geometry), stored_(fs.groups) {}

  void run() {
    copies_ = descriptor_copies(fs_, 1);
    find_doubts();
    decide();
  }

  bool rejudge(const std::vector<ClaimedStructure>& claimed) {
    for (const ClaimedStructure& c : claimed) {
      doubts_.insert({c.group, c.kind});
      if (c.is_taken) taken_.insert({c.group, c.kind});
    }
    const size_t before = fs_.moved.size();
    decide();
    return fs_.moved.size() > before;
  }

 private:
  uint32_t blocks_of(MetadataKind kind) const { return kind == MetadataKind::inode_table ? g_.itable_blocks : 1; }

  void find_doubts() {
    for (GroupNo group; group.value < g_.groups; ++group) {
      const GroupDesc& d = stored_[group.value];
      if (!d.readable) continue;
      for (const MetadataKind kind : kKinds) {
        const BlockNo at = place_in(d, kind);
        const GroupDesc* copy = sound_copy(group, kind);
        if (!valid_location(g_, group, at, blocks_of(kind)) || (g_.group_csum() && !d.checksum_ok) ||
            (copy && place_in(*copy, kind) != at) || (!copy && kind == MetadataKind::inode_table && has_lost_root(group, at)))
          doubts_.insert({group, kind});
      }
    }
    for (const MetadataOverlap& o : fs_.metadata.overlaps())
      for (const MetadataExtent& e : {o.a, o.b})
        if (std::ranges::find(kKinds, e.kind) != std::end(kKinds)) {
          doubts_.insert({e.group, e.kind});
          overlapping_.insert({e.group, e.kind});
        }
  }

  // That the root is damaged says nothing of the table, as long as there are other inodes in it.
  bool has_lost_root(GroupNo group, BlockNo table) const {
    return group.value == 0 && !has_root(fs_) && !has_proven_inode(fs_, group, table);
  }

  // Of the first backup whose descriptor of the group can be believed, and names a place that can be.
  const GroupDesc* sound_copy(GroupNo group, MetadataKind kind) const {
    for (const auto& copy : copies_) {
      const GroupDesc& d = copy[group.value];
      if (d.readable && d.checksum_ok && valid_location(g_, group, place_in(d, kind), blocks_of(kind))) return &d;
    }
    return nullptr;
  }

  // Tables first: a descriptor that names another group's table is another group's in all.
  void decide() {
    if (doubts_.empty() || doubts_.size() > kMostDoubts) return;
    copies_ = descriptor_copies(fs_, 3);
    std::vector<GroupDesc> certain = stored_;
    for (const Doubt& d : doubts_) place_in(certain[d.group.value], d.kind) = nowhere(g_);
    fs_.metadata = MetadataMap::build(g_, certain, BlockNo());
    for (const MetadataKind kind : kKinds)
      for (const Doubt& d : doubts_)
        if (d.kind == kind) decide(d);
    lay_out_metadata(fs_);
  }

  void decide(const Doubt& doubt) {
    GroupDesc& d = fs_.groups[doubt.group.value];
    const BlockNo stored = place_in(d, doubt.kind);
    const BlockNo found = choose(doubt, stored);
    if (found == stored) return;
    fs_.moved.push_back({doubt.group, doubt.kind, stored, found});
    place_in(d, doubt.kind) = found;
    foreign_.insert(doubt.group);
  }

  Evidence evidence(const Doubt& doubt, BlockNo at) const {
    if (doubt.kind == MetadataKind::inode_table) return table_evidence(fs_, doubt.group, at);
    return bitmap_evidence(fs_, doubt.group, doubt.kind, stored_[doubt.group.value], at);
  }

  bool can_lie(const Doubt& doubt, BlockNo at) const {
    return valid_location(g_, doubt.group, at, blocks_of(doubt.kind)) &&
           is_vacant(fs_, doubt.group, doubt.kind, at, blocks_of(doubt.kind));
  }

  BlockNo choose(const Doubt& doubt, BlockNo stored) {
    const GroupDesc& d = stored_[doubt.group.value];
    const bool sealed = g_.group_csum() && d.checksum_ok;
    const bool table = doubt.kind == MetadataKind::inode_table;
    const GroupDesc* copy = sound_copy(doubt.group, doubt.kind);
    const BlockNo backup = copy ? place_in(*copy, doubt.kind) : nowhere(g_);
    const bool backup_fits = copy && backup != stored && can_lie(doubt, backup);
    const Evidence here = can_lie(doubt, stored) ? evidence(doubt, stored) : Evidence::against;
    const Evidence there = backup_fits ? evidence(doubt, backup) : Evidence::against;
    // Of a descriptor that is damaged, or another group's, neither its checksums of bitmaps nor its counts prove anything.
    const bool proof = table || (d.checksum_ok && !(foreign_.contains(doubt.group) && !sealed));
    // Two tables without checksums may both look like the group's: then the block that two groups name is not proof enough.
    const bool contested = overlapping_.contains(doubt) && !g_.metadata_csum() && there == Evidence::for_it;
    if (here == Evidence::for_it && proof && !contested) return stored;
    if (there == Evidence::for_it) return backup;
    if (here == Evidence::for_it && !backup_fits) return stored;
    for (const BlockNo guess : guesses(doubt))
      if (guess != stored && can_lie(doubt, guess) && evidence(doubt, guess) == Evidence::for_it && proof) return guess;
    if (taken_.contains(doubt)) return backup_fits && there != Evidence::against ? backup : BlockNo();
    if (here == Evidence::none && sealed && !overlapping_.contains(doubt)) return stored;
    if (backup_fits && !(there == Evidence::against && table)) {
      if (here == Evidence::none && !g_.group_csum() && !foreign_.contains(doubt.group)) {
        fs_.undecided.push_back(doubt.group);
        return stored;
      }
      return backup;
    }
    if (backup_fits && here != Evidence::against) fs_.undecided.push_back(doubt.group);
    return stored;
  }

  // With blocks of 1 KiB the boot block comes first, also where it is in the first group.
  BlockNo behind_descriptors(GroupNo group) const {
    return (g_.has_super(group) ? g_.super_block(group) : g_.group_first(group)) + g_.super_and_desc_blocks(group);
  }

  // Where mke2fs puts it: behind what begins the group or its flex group, or beside those of the groups next to it.
  std::vector<BlockNo> guesses(const Doubt& doubt) const {
    std::vector<BlockNo> out;
    const GroupNo group = doubt.group;
    const BlockNo begin = behind_descriptors(group);
    if (doubt.kind == MetadataKind::inode_table) {
      if (const auto found = find_table(fs_, group, copies_)) out.push_back(*found);
      return out;
    }
    out.push_back(begin + (doubt.kind == MetadataKind::inode_bitmap ? 1 : 0));
    guess_in_flex_group(doubt, out);
    if (group.value > 0) out.push_back(place_in(fs_.groups[group.value - 1], doubt.kind) + 1);
    if (group.value + 1 < g_.groups)
      if (const BlockNo next = place_in(fs_.groups[group.value + 1], doubt.kind); next.value > 0)
        out.emplace_back(next.value - 1);
    return out;
  }

  // With flex_bg the block bitmaps of several groups come first, and then their inode bitmaps: behind room for as many groups as
  // could be, or for as many as there are.
  void guess_in_flex_group(const Doubt& doubt, std::vector<BlockNo>& out) const {
    const uint32_t flex = fs_.super.s_log_groups_per_flex;
    if (!g_.has_incompat(EXT4_FEATURE_INCOMPAT_FLEX_BG) || flex == 0 || flex >= 32) return;
    const uint32_t most = 1u << flex;
    const GroupNo first(doubt.group.value / most * most);
    const BlockNo place = behind_descriptors(first) + (doubt.group - first);
    if (doubt.kind == MetadataKind::block_bitmap) return out.push_back(place);
    for (const uint32_t groups : {most, std::min(most, g_.groups - first.value)}) out.push_back(place + groups);
  }

  // Every one is read for: an image in which nothing is certain is left as it says of itself.
  static constexpr size_t kMostDoubts = 3 * 4096;

  FileSystem& fs_;
  const Geometry& g_;
  const std::vector<GroupDesc> stored_;
  std::vector<std::vector<GroupDesc>> copies_;
  std::set<Doubt> doubts_, overlapping_, taken_;
  std::set<GroupNo> foreign_;
};

}  // namespace

void judge_descriptors(FileSystem& fs) {
  fs.moved.clear();
  fs.undecided.clear();
  Judge(fs).run();
}

bool judge_claimed(FileSystem& fs, const std::vector<ClaimedStructure>& claimed) { return Judge(fs).rejudge(claimed); }

}  // namespace extscrub
