#include "audit/edit/shared_evidence.h"

#include <algorithm>

#include "scan/filesystem/inode_table.h"
#include "scan/inodes/owned_block.h"

namespace extscrub {

namespace {

// What each kind of evidence weighs. A neighbour is the usual case; a checksum, or a finding about the inode, outweighs both, and
// what was written outweighs all of them.
constexpr int kNeighbourOverHole = 1, kFitsBetterOverHole = 2, kNeighbour = 2, kFitsBetter = 4, kContents = 9, kSuspect = 9,
              kBehindEnd = 3, kHistory = 30;

constexpr uint64_t kMostBlocksBetween = 4;  // tree nodes that lie between two blocks of a file

constexpr uint16_t kMayRead = 0444, kOthersMayRead = 0044;

}  // namespace

SharedEvidence::SharedEvidence(const RepairRound& round)
    : round_(round), fs_(round.fs()), g_(round.geometry()), history_(round.fs()) {
  const auto note = [this](const FindingIndex& findings) {
    for (const Finding& f : findings.that_hide(Hidden::origin))
      if (f.inode) suspects_.insert(*f.inode);
  };
  note(round.findings);
  if (round.first) note(*round.first);
}

SharedEvidence::Known& SharedEvidence::known(InodeNo ino) {
  const auto [it, fresh] = known_.try_emplace(ino);
  Known& k = it->second;
  if (!fresh) return k;
  k.raw.resize(g_.inode_size);
  if (!read_inode(fs_, ino, k.raw)) std::ranges::fill(k.raw, std::byte{0});
  const Inode inode(g_, ino, k.raw);
  if (inode.has_block_map()) MapWalker(fs_).walk(inode, k.list);
  k.extents = inode.uses_extents();
  std::ranges::stable_sort(k.list.runs, {}, &Run::logical);
  std::ranges::sort(k.list.nodes);
  return k;
}

const Run* SharedEvidence::find_run(const Known& k, uint64_t logical) {
  const auto run = std::ranges::partition_point(k.list.runs, [=](const Run& r) { return r.logical + r.count <= logical; });
  return run == k.list.runs.end() || run->logical > logical ? nullptr : &*run;
}

bool SharedEvidence::is_node(const Known& k, BlockNo block) { return std::ranges::binary_search(k.list.nodes, block); }

const std::vector<std::byte>& SharedEvidence::bitmap(GroupNo group) {
  constexpr size_t kMostKept = 64;
  if (bitmaps_.size() >= kMostKept && !bitmaps_.contains(group)) bitmaps_.clear();
  const auto [it, fresh] = bitmaps_.try_emplace(group);
  std::vector<std::byte>& bytes = it->second;
  if (!fresh) return bytes;
  const GroupDesc& desc = fs_.groups[group.value];
  const bool stored = !(g_.group_csum() && desc.block_uninit()) && valid_location(g_, group, desc.block_bitmap, 1);
  bytes.resize(stored ? g_.block_size : 0);
  if (stored && !fs_.blocks->read(desc.block_bitmap, bytes)) bytes.clear();
  return bytes;
}

// Nothing where it cannot be known.
std::optional<bool> SharedEvidence::is_marked(BlockNo block) {
  if (!g_.contains(block)) return {};
  const auto& bytes = bitmap(g_.group_of(block));
  const uint32_t bit = g_.cluster_in_group(block);
  if (bit / 8 >= bytes.size()) return {};
  return test_bit(bytes, bit);
}

// In use by the bitmap, and nobody's: what a pointer that now names another block left behind.
bool SharedEvidence::is_adrift(BlockNo block) {
  return g_.contains(block) && !round_.run.scan->claims.test(g_, block) && is_marked(block).value_or(false);
}

// Blocks of all such clusters.
uint64_t SharedEvidence::all_adrift() {
  if (all_adrift_) return *all_adrift_;
  uint64_t clusters = 0;
  for (uint32_t group = 0; group < g_.groups; ++group) {
    const auto& bytes = bitmap(GroupNo(group));
    const auto bits = std::min<uint64_t>(g_.clusters(GroupNo(group)), bytes.size() * 8);
    for (uint32_t i = 0; i < bits; ++i) clusters += test_bit(bytes, i) && !round_.run.scan->claims.test(GroupNo(group), i);
  }
  all_adrift_ = clusters << g_.cluster_bits;
  return *all_adrift_;
}

// An extent that was written elsewhere has left as many blocks behind, or, where it was moved by less than its length, some
// beside it; and it may lie over blocks that were never taken.
int SharedEvidence::weigh_whole_run(const Run& run) {
  for (BlockNo at = run.physical; at < run.physical + run.count; ++at)
    if (!is_marked(at).value_or(true)) return -kSuspect;
  const bool may_be_moved = is_adrift(BlockNo(run.physical.value - 1)) || is_adrift(run.physical + run.count);
  return may_be_moved || all_adrift() >= run.count ? 0 : kFitsBetter;
}

int SharedEvidence::weigh_run(Known& k, uint64_t logical) {
  const Run* run = find_run(k, logical);
  if (!run) return 0;
  const auto [it, fresh] = k.weights_of_runs.try_emplace(run->logical);
  if (fresh) it->second = weigh_whole_run(*run);
  return it->second;
}

// The mapped blocks next to that place of the file, across holes too; none in the middle of an extent, which is one pointer.
SharedEvidence::Neighbours SharedEvidence::neighbours(const Known& k, uint64_t logical) {
  const auto& runs = k.list.runs;
  const auto at = std::ranges::partition_point(runs, [=](const Run& r) { return r.logical + r.count <= logical; });
  const bool inside = at != runs.end() && at->logical <= logical;
  Neighbours found;
  if (inside && at->logical < logical) {
    if (!k.extents) found.before = {at->physical + (logical - 1 - at->logical), 0};
  } else if (at != runs.begin()) {
    const Run& run = *(at - 1);
    found.before = {run.physical + (run.count - 1), logical - run.logical - run.count};
  }
  if (inside && logical + 1 < at->logical + at->count) {
    if (!k.extents) found.behind = {at->physical + (logical + 1 - at->logical), 0};
  } else if (const auto next = inside ? at + 1 : at; next != runs.end()) {
    found.behind = {next->physical, next->logical - logical - 1};
  }
  return found;
}

int SharedEvidence::weigh_neighbours(const Known& k, uint64_t logical, BlockNo block) {
  int weight = 0;
  const auto [before, behind] = neighbours(k, logical);
  // The next block that is no node of the file's own.
  const auto step = [&](BlockNo at, int64_t by) {
    BlockNo next(at.value + static_cast<uint64_t>(by));
    for (uint64_t i = 0; i < kMostBlocksBetween && is_node(k, next); ++i) next = BlockNo(next.value + static_cast<uint64_t>(by));
    return next;
  };
  for (const auto& [neighbour, by] : {std::pair(before, int64_t{1}), std::pair(behind, int64_t{-1})}) {
    if (!neighbour.block) continue;
    const BlockNo expected = step(neighbour.block, by);
    if (expected == block)
      weight += neighbour.gap == 0 ? kNeighbour : kNeighbourOverHole;
    else if (is_adrift(expected))
      weight -= neighbour.gap == 0 ? kFitsBetter : kFitsBetterOverHole;
  }
  // Only one block lies between them, and it is not this one.
  if (before.block && behind.block && before.gap + behind.gap == 0 && behind.block == before.block + 2 &&
      before.block + 1 != block)
    weight -= kFitsBetter;
  return weight;
}

// A node lies between the blocks of its file.
int SharedEvidence::weigh_node(const Known& k, BlockNo block) const {
  const auto has = [&](BlockNo at) {
    return is_node(k, at) ||
           std::ranges::any_of(k.list.runs, [=](const Run& r) { return r.physical <= at && at < r.physical + r.count; });
  };
  return (has(BlockNo(block.value - 1)) ? kNeighbour : 0) + (has(block + 1) ? kNeighbour : 0);
}

int SharedEvidence::weigh(const Owner& owner, BlockNo block) {
  Known& k = known(owner.inode);
  const Inode inode(g_, owner.inode, k.raw);
  int weight = suspects_.contains(owner.inode) ? -kSuspect : 0;
  // That the log does not have the pointer says nothing: resize2fs and the like move blocks, and write no log.
  if (history_.was_written(owner, inode, block).value_or(false)) weight += kHistory;
  const uint64_t logical = owner.logical + (block - owner.first);
  const bool directory = owner.use == Owner::Use::data && inode.type() == FileType::directory;
  const bool target = owner.use == Owner::Use::data && inode.type() == FileType::symlink;
  if (directory || target || owner.use != Owner::Use::data) {
    Owner one = owner;
    one.first = block;
    one.count = 1;
    one.logical = logical;
    std::vector<std::byte> bytes(g_.block_size);
    const bool fits = fs_.blocks->read(block, bytes) && fits_owner(fs_, one, inode, bytes);
    // Without a checksum nearly anything can be an indirect block.
    const bool proves = g_.metadata_csum() || directory || target || owner.use == Owner::Use::ea_block;
    weight += !fits ? -kContents : proves ? kContents : 0;
  }
  if (owner.use == Owner::Use::ea_block) return weight;
  if (owner.use == Owner::Use::map_node) return weight + weigh_node(k, block);
  if (logical << g_.block_bits >= inode.size()) weight -= kBehindEnd;
  if (k.extents) weight += weigh_run(k, logical);
  return weight + weigh_neighbours(k, logical, block);
}

const SharedEvidence::Access& SharedEvidence::access(InodeNo ino) {
  const auto [it, fresh] = access_.try_emplace(ino);
  Access& a = it->second;
  std::vector<std::byte> raw(fresh ? g_.inode_size : 0);
  if (!fresh || !read_inode(fs_, ino, raw)) return a;
  const auto base = load<ext2_inode>(raw);
  a.uid = base.i_uid | uint32_t{base.osd2.linux2.l_i_uid_high} << 16;
  a.gid = base.i_gid | uint32_t{base.osd2.linux2.l_i_gid_high} << 16;
  a.mode = static_cast<uint16_t>(base.i_mode & kMayRead);
  return a;
}

bool SharedEvidence::may_see_all_of(InodeNo ino, InodeNo other_ino) {
  const Access& reader = access(ino);
  if (reader.uid == 0 && !(reader.mode & kOthersMayRead)) return true;
  const Access& other = access(other_ino);
  return reader.uid == other.uid && reader.gid == other.gid && !(reader.mode & ~other.mode);
}

bool SharedEvidence::may_show(const Owner& to, const Owner& whose) {
  const Access& reader = access(to.inode);
  if (reader.uid == 0 && !(reader.mode & kOthersMayRead)) return true;
  return whose.use == Owner::Use::data && may_see_all_of(to.inode, whose.inode);
}

}  // namespace extscrub
