// Blocks of directories that no map names any more: the block bitmap still has them in use, and they say whose they are. `.` of a
// first block names its directory; with metadata checksums the seed of any block does. Where the directory has something else
// in that place, or nothing, the block gets back there, and with it the names in it.
#include <algorithm>
#include <map>

#include "audit/repair/repair.h"
#include "audit/stage/map_builder.h"
#include "audit/stage/map_salvage.h"
#include "scan/filesystem/inode_table.h"
#include "scan/format/checksum.h"
#include "scan/format/dir_block.h"
#include "scan/format/htree.h"
#include "scan/inodes/owned_block.h"

namespace extscrub {

namespace {

constexpr size_t kMostAdrift = 1 << 16;  // blocks that are looked at

struct FoundBlock {
  BlockNo block;
  bool first = false;  // of the directory
};

class LostDirectoryBlocks {
 public:
  explicit LostDirectoryBlocks(RepairRound& round) : round_(round), fs_(round.fs()), g_(round.geometry()), table_(round.run.scan->directories) {}

  Result<size_t> put_back() {
    for (GroupNo group; group.value < g_.groups; ++group) look_through(group);
    size_t changed = 0;
    for (const auto& [ino, blocks] : found_) {
      const auto done = put_back(ino, blocks);
      if (!done) return std::unexpected(done.error());
      changed += *done ? 1 : 0;
    }
    round_.stale = round_.stale || changed > 0;
    return changed;
  }

 private:
  // What is in use by the bitmap, and nobody's.
  void look_through(GroupNo group) {
    const GroupDesc& desc = fs_.groups[group.value];
    if ((g_.group_csum() && desc.block_uninit()) || !valid_location(g_, group, desc.block_bitmap, 1)) return;
    std::vector<std::byte> bitmap(g_.block_size);
    if (!fs_.blocks->read(desc.block_bitmap, bitmap)) return;
    const auto bits = std::min<uint64_t>(g_.clusters(group), bitmap.size() * 8);
    for (uint32_t i = 0; i < bits; ++i)
      if (test_bit(bitmap, i) && !round_.run.scan->claims.test(group, i) && ++looked_at_ <= kMostAdrift) look_at(g_.group_first(group) + (uint64_t{i} << g_.cluster_bits));
  }

  void look_at(BlockNo at) {
    std::vector<std::byte> block(g_.block_size);
    if (!fs_.blocks->read(at, block)) return;
    EntryWalk walk(block, g_.block_size);
    const auto dot = walk.next(), dotdot = walk.next();
    const bool first = dot && dotdot && dot->name == "." && dotdot->name == "..";
    if (g_.metadata_csum()) {
      const auto owner = owner_by_seed(block);
      if (owner && (!first || dot->inode == *owner)) found_[*owner].push_back({at, first});
    } else if (first) {
      if (is_inode(dot->inode) && is_whole(block)) found_[dot->inode].push_back({at, true});
    }
  }

  [[nodiscard]] bool has_names(Bytes block) const {
    EntryWalk walk(block, g_.block_size);
    while (const auto e = walk.next())
      if (e->inode && is_inode(e->inode)) return true;
    return false;
  }

  [[nodiscard]] bool is_inode(InodeNo ino) const { return ino && ino.value <= g_.inodes; }

  // All of it has the form of entries, and these name inodes.
  [[nodiscard]] bool is_whole(Bytes block) const {
    EntryWalk walk(block, g_.block_size);
    while (const auto e = walk.next())
      if (e->inode && !is_inode(e->inode)) return false;
    return !walk.broken();
  }

  std::optional<InodeNo> owner_by_seed(Bytes block) {
    if (by_seed_.empty())
      for (const Directory& d : table_.directories) by_seed_.emplace(inode_seed(g_, d.inode, d.generation), d.inode);
    const auto tail = leaf_tail(block);
    const auto seed = tail ? std::optional(leaf_seed(*tail, block)) : htree_node_seed(g_, block);
    const auto it = seed ? by_seed_.find(*seed) : by_seed_.end();
    return it == by_seed_.end() ? std::nullopt : std::optional(it->second);
  }

  // Blocks of the directory that are holes, or that hold what is not its own: no name that can be read, or another's.
  [[nodiscard]] std::vector<uint64_t> wrong_places(const Inode& inode, const std::vector<Run>& runs) const {
    std::vector<uint64_t> wrong;
    const uint64_t blocks = std::max<uint64_t>(1, inode.size() >> g_.block_bits);
    if (blocks > kMostAdrift) return wrong;
    std::vector<std::byte> bytes(g_.block_size);
    for (uint64_t logical = 0; logical < blocks; ++logical) {
      const auto run = std::ranges::find_if(runs, [=](const Run& r) { return r.logical <= logical && logical < r.logical + r.count; });
      if (run != runs.end()) {
        Owner owner;
        owner.inode = inode.number();
        owner.first = run->physical + (logical - run->logical);
        owner.count = 1;
        owner.logical = logical;
        owner.use = Owner::Use::data;
        const bool readable = fs_.blocks->read(owner.first, bytes).has_value();
        if (readable && fits_owner(fs_, owner, inode, bytes)) continue;
        // Damaged, but its own: what it still names stays.
        if (readable && has_names(bytes) && !round_.run.scan->claimed_again.test(g_, owner.first)) continue;
      }
      wrong.push_back(logical);
    }
    return wrong;
  }

  Result<bool> put_back(InodeNo ino, const std::vector<FoundBlock>& found) {
    std::vector<std::byte> copy(g_.inode_size);
    if (!read_inode(fs_, ino, copy)) return false;
    const Inode before(g_, ino, copy);
    if (before.type() != FileType::directory || !before.has_block_map() || before.base().i_links_count == 0) return false;
    SalvagedMap map = salvage_map(fs_, *round_.run.scan, before);
    if (!map.whole) return false;
    const std::vector<uint64_t> places = wrong_places(before, map.runs);
    const auto put = match(places, found);
    if (put.empty()) return false;
    for (const auto& [logical, block] : put) {
      map.runs = without_logical(map.runs, logical, 1);
      map.runs.push_back({logical, block, 1, false});
      round_.blocks.reserve(block, 1);
    }
    std::ranges::sort(map.runs, {}, &Run::logical);
    const auto raw = edit_inode(fs_, round_.overlay, ino);
    if (!raw) return std::unexpected(raw.error());
    const auto written = write_map(fs_, round_.overlay, round_.blocks, ino, *raw, map.runs, map.nodes);
    if (!written) return std::unexpected(written.error());
    if (*written != MapWritten::written) return false;
    seal_inode(g_, ino, *raw);
    return true;
  }

  // The first block is told by its `.`; which of the others is which does not matter, as long as there are as many as places.
  [[nodiscard]] std::vector<std::pair<uint64_t, BlockNo>> match(const std::vector<uint64_t>& places, const std::vector<FoundBlock>& found) const {
    std::vector<std::pair<uint64_t, BlockNo>> put;
    std::vector<uint64_t> later;
    std::ranges::copy_if(places, std::back_inserter(later), [](uint64_t logical) { return logical != 0; });
    const bool first_wanted = later.size() < places.size();
    const auto firsts = std::ranges::count_if(found, &FoundBlock::first);
    const bool in_order = g_.cluster_bits == 0 && found.size() - static_cast<size_t>(firsts) == later.size();
    size_t next = 0;
    for (const FoundBlock& f : found) {
      if (f.first && first_wanted && firsts == 1) put.emplace_back(0, f.block);
      if (!f.first && in_order) put.emplace_back(later[next++], f.block);
    }
    return put;
  }

  RepairRound& round_;
  const FileSystem& fs_;
  const Geometry& g_;
  const DirectoryTable& table_;
  std::map<InodeNo, std::vector<FoundBlock>> found_;
  std::map<uint32_t, InodeNo> by_seed_;
  size_t looked_at_ = 0;
};

}  // namespace

Result<size_t> repair_lost_directory_blocks(RepairRound& round) {
  if (!round.may(Problem::directory_hole) || !round.lossy()) return 0;
  return LostDirectoryBlocks(round).put_back();
}

}  // namespace extscrub
