// Blocks of directories that no map names any more: the block bitmap still has them in use, and they say whose they are. `.` of a
// first block names its directory; with metadata checksums the seed of any block does. Where the directory has something else
// in that place, or nothing, the block gets back there, and with it the names in it.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

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
  size_t wanted = 0;  // inodes it names that lack a name
  bool certain = false;  // sealed for this directory, and all that it names lacks a name
};

using PutBlocks = std::vector<std::pair<uint64_t, BlockNo>>;  // by logical block

// The runs, in logical order, with other blocks in these places.
std::vector<Run> with_blocks(const std::vector<Run>& runs, const PutBlocks& put) {
  std::vector<Run> out;
  auto next = put.begin();
  const auto take = [&] {
    out.push_back({next->first, next->second, 1, false});
    ++next;
  };
  for (Run run : runs) {
    while (next != put.end() && next->first < run.logical) take();
    while (next != put.end() && next->first < run.logical + run.count) {
      const auto before = static_cast<uint32_t>(next->first - run.logical);
      if (before > 0) out.push_back({run.logical, run.physical, before, run.unwritten});
      run = {next->first + 1, run.physical + (before + 1), run.count - before - 1, run.unwritten};
      take();
    }
    if (run.count > 0) out.push_back(run);
  }
  while (next != put.end()) take();
  return out;
}

class LostDirectoryBlocks {
 public:
  explicit LostDirectoryBlocks(RepairRound& round)
      : round_(round), fs_(round.fs()), g_(round.geometry()), table_(round.run.scan->directories) {
    for (const Finding& f : round.findings)
      if (f.problem == Problem::inode_unattached || (f.problem == Problem::inode_links && has_names_to_come(f)))
        nameless_.insert(*f.inode);
    for (const Loss& l : round.losses) told_.emplace(l.inode, l.what);
  }

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
      if (test_bit(bitmap, i) && !round_.run.scan->claims.test(group, i) && ++looked_at_ <= kMostAdrift)
        look_at(g_.group_first(group) + (uint64_t{i} << g_.cluster_bits));
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

  [[nodiscard]] static bool has_names_to_come(const Finding& f) {
    const auto* links = std::get_if<WrongNumber>(&f.evidence);
    return links && links->found > links->expected;
  }

  // The inode is in use, and a name of it is missing; nothing where it is not in use.
  [[nodiscard]] std::optional<bool> lacks_name(InodeNo ino) const {
    const GroupNo group = g_.group_of(ino);
    if (!round_.run.scan->used.test(group, ino - g_.group_first_inode(group))) return {};
    const uint32_t index = table_.find(ino);
    if (index == table_.directories.size()) return nameless_.contains(ino);
    const Directory& d = table_.directories[index];
    return d.parent == 0 || d.is(Directory::unconnected);
  }

  // A block that was lost names what has lost its names: one that names anything else is old, or made up. With the seal of its
  // directory it is not made up, and one name among others may have been given anew since.
  [[nodiscard]] bool may_be_lost(InodeNo owner, FoundBlock& found) const {
    std::vector<std::byte> block(g_.block_size);
    if (!fs_.blocks->read(found.block, block)) return false;
    const uint32_t index = table_.find(owner);
    uint32_t parent = index < table_.directories.size() ? table_.directories[index].parent : 0;
    if (owner.value == EXT2_ROOT_INO) parent = EXT2_ROOT_INO;
    size_t surplus = 0;
    EntryWalk walk(block, g_.block_size);
    while (const auto e = walk.next()) {
      if (!is_inode(e->inode) || e->name == ".") continue;
      if (found.first && e->name == "..") {
        if (parent != 0 && e->inode.value != parent) return false;
      } else if (const auto lacks = lacks_name(e->inode); lacks) {
        ++(*lacks ? found.wanted : surplus);
      }
    }
    found.certain = g_.metadata_csum() && surplus == 0 && found.wanted > 0;
    return surplus == 0 || (g_.metadata_csum() && found.wanted > surplus);
  }

  // Those of the blocks that say to be the directory's which can be; the loss of the others is reported.
  std::vector<FoundBlock> credible(InodeNo ino, std::vector<FoundBlock> found) {
    std::erase_if(found, [&](FoundBlock& f) {
      if (may_be_lost(ino, f)) return false;
      let_go(ino, f, "it names what has all its names, or another parent");
      return true;
    });
    return found;
  }

  void let_go(InodeNo ino, const FoundBlock& found, std::string_view why) {
    const std::string what = fmt::format("block {}, which says that it is this directory's, is let go: {}", found.block, why);
    if (!round_.lossy() || !told_.emplace(ino, what).second) return;
    Finding cause;
    cause.problem = Problem::directory_hole;
    cause.inode = ino;
    round_.lose(cause, what);
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
    auto run = runs.begin();
    for (uint64_t logical = 0; logical < blocks; ++logical) {
      while (run != runs.end() && run->logical + run->count <= logical) ++run;
      if (run != runs.end() && run->logical <= logical) {
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

  Result<bool> put_back(InodeNo ino, const std::vector<FoundBlock>& all) {
    std::vector<std::byte> copy(g_.inode_size);
    if (!read_inode(fs_, ino, copy)) return false;
    const Inode before(g_, ino, copy);
    if (before.type() != FileType::directory || !before.has_block_map() || before.base().i_links_count == 0) return false;
    SalvagedMap map = salvage_map(fs_, *round_.run.scan, before);
    if (!map.whole) return false;
    const std::vector<uint64_t> places = wrong_places(before, map.runs);
    if (places.empty()) return false;
    const std::vector<FoundBlock> believed = credible(ino, all);
    const PutBlocks put = match(ino, places, believed);
    if (put.empty() || (!round_.lossy() && !is_safe(before, map.runs, put, believed))) return false;
    for (const auto& [logical, block] : put) round_.blocks.reserve(block, 1);
    map.runs = with_blocks(map.runs, put);
    const auto raw = edit_inode(fs_, round_.overlay, ino);
    if (!raw) return std::unexpected(raw.error());
    const auto written = write_map(fs_, round_.overlay, round_.blocks, ino, *raw, map.runs, map.nodes);
    if (!written) return std::unexpected(written.error());
    if (*written != MapWritten::written) return false;
    seal_inode(g_, ino, *raw);
    return true;
  }

  // Nothing is taken away, and nothing but the block's own seal is gone by: each hole gets one block that is certain.
  [[nodiscard]] bool is_safe(const Inode& inode, const std::vector<Run>& runs, const PutBlocks& put,
                             const std::vector<FoundBlock>& believed) const {
    const auto is_mapped = [&](uint64_t logical) {
      return std::ranges::any_of(runs, [=](const Run& r) { return r.logical <= logical && logical < r.logical + r.count; });
    };
    return is_vouched_for(g_, inode.number(), inode.raw()) && put.size() == believed.size() &&
           std::ranges::all_of(believed, &FoundBlock::certain) &&
           std::ranges::none_of(put, [&](const auto& p) { return is_mapped(p.first); });
  }

  // The first block is told by its `.`; which of the others is which does not matter, as long as there are as many as places.
  [[nodiscard]] PutBlocks match(InodeNo ino, const std::vector<uint64_t>& places, const std::vector<FoundBlock>& found) {
    PutBlocks put;
    std::vector<uint64_t> later;
    std::ranges::copy_if(places, std::back_inserter(later), [](uint64_t logical) { return logical != 0; });
    const bool first_wanted = later.size() < places.size();
    const FoundBlock* const first = first_wanted ? best_first(found) : nullptr;
    if (first) put.emplace_back(0, first->block);
    const auto firsts = std::ranges::count_if(found, &FoundBlock::first);
    const bool in_order = g_.cluster_bits == 0 && found.size() - static_cast<size_t>(firsts) == later.size();
    size_t next = 0;
    for (const FoundBlock& f : found) {
      if (!f.first && in_order) put.emplace_back(later[next++], f.block);
      const bool is_put = f.first ? &f == first : in_order;
      if (!is_put && f.wanted > 0) let_go(ino, f, "nothing tells its place");
    }
    return put;
  }

  // Of several the one that names most of what lacks a name.
  [[nodiscard]] static const FoundBlock* best_first(const std::vector<FoundBlock>& found) {
    const FoundBlock* best = nullptr;
    bool alone = false;
    for (const FoundBlock& f : found) {
      if (!f.first || (best && f.wanted < best->wanted)) continue;
      alone = !best || f.wanted > best->wanted;
      best = &f;
    }
    return alone ? best : nullptr;
  }

  RepairRound& round_;
  const FileSystem& fs_;
  const Geometry& g_;
  const DirectoryTable& table_;
  std::map<InodeNo, std::vector<FoundBlock>> found_;
  std::map<uint32_t, InodeNo> by_seed_;
  std::set<std::pair<InodeNo, std::string>> told_;  // of what is let go
  std::set<InodeNo> nameless_;  // in use, no directories, with fewer names than links
  size_t looked_at_ = 0;
};

}  // namespace

Result<size_t> repair_lost_directory_blocks(RepairRound& round) {
  if (!round.may(Problem::directory_hole)) return 0;
  if (!round.lossy() && round.findings.of(Problem::directory_hole).empty()) return 0;
  return LostDirectoryBlocks(round).put_back();
}

}  // namespace extscrub
