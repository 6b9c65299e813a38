// Blocks that several claim: one keeps them, and every other gets a copy of its own, so that each file keeps the contents
// that a reader sees now - or a hole, where these may be another's that its readers could not read. What is the file
// system's own keeps its place; so do inodes whose map says where the file system looks for them (the journal, the resize
// inode, the list of bad blocks). Else the one keeps the block that more speaks for. Where nothing speaks for either of two
// files, and neither's readers could read the other, it goes to a file of root's in lost+found.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <tuple>

#include "audit/edit/inode_allocator.h"
#include "audit/edit/inode_edit.h"
#include "audit/edit/relocation.h"
#include "audit/edit/shared_evidence.h"
#include "audit/repair/repair.h"
#include "audit/stage/map_builder.h"
#include "scan/filesystem/inode_table.h"
#include "scan/format/checksum.h"

namespace extscrub {

namespace {

// Clusters [first, end) that an owner claims.
struct Claim {
  uint64_t first = 0, end = 0;
  const Owner* owner = nullptr;
};

// Clusters [first, end) that two inodes share.
struct SharedRange {
  uint64_t first = 0, end = 0;
  int64_t weight = 0;  // what speaks for the first of the two, less what does for the second
};

// What one inode has to give up.
struct Yield {
  std::set<uint64_t> clusters;  // logical ones, of its data: it gets a copy
  std::set<uint64_t> holes;     // the same, of which it gets none
  std::set<uint64_t> given_up;  // the same, as nobody knows whose it is
  InodeNo other;                // who keeps one of them; 0: the file system
  std::set<BlockNo> nodes;
};

bool stays(const FileSystem& fs, const Owner& o) {
  if (o.use == Owner::Use::metadata) return true;
  const uint32_t ino = o.inode.value;
  return ino == EXT2_BAD_INO || ino == EXT2_RESIZE_INO || ino == EXT2_JOURNAL_INO ||
         (fs.geometry.has_compat(EXT3_FEATURE_COMPAT_HAS_JOURNAL) && ino == fs.super.s_journal_inum);
}

class SharedBlocks {
 public:
  explicit SharedBlocks(RepairRound& round)
      : round_(round), g_(round.geometry()), evidence_(round), budget_(copy_budget(round.overlay)) {
    for (const Loss& loss : round.losses) damaged_.insert(loss.inode);
  }

  Result<size_t> part() {
    go_along([this](uint64_t cluster, const std::vector<Claim>& active) { weigh_cluster(cluster, active); });
    go_along([this](uint64_t cluster, const std::vector<Claim>& active) { divide_cluster(cluster, active); });
    size_t answered = 0;
    for (const auto& [block, inodes] : attribute_blocks_) {
      const auto moved = move_attribute_block(block, inodes);
      if (!moved) return std::unexpected(moved.error());
      if (*moved)
        for (const InodeNo ino : inodes) answered += answer(ino);
    }
    if (auto r = give_to_root(); !r) return std::unexpected(r.error());
    for (auto& [ino, yield] : yields_) {
      const auto moved = move(ino, yield);
      if (!moved) return std::unexpected(moved.error());
      if (*moved) answered += answer(ino);
    }
    round_.stale = round_.stale || answered > 0;
    return answered;
  }

 private:
  [[nodiscard]] uint64_t cluster_of(BlockNo b) const { return (b - BlockNo(g_.first_data_block)) >> g_.cluster_bits; }
  [[nodiscard]] BlockNo first_block(uint64_t cluster) const {
    return BlockNo(g_.first_data_block + (cluster << g_.cluster_bits));
  }

  // The lowest keeps the cluster. A tree node or an attribute block says by itself whose it is; and of two files the one that
  // has lost nothing else is more likely the one that wrote there.
  [[nodiscard]] auto rank(const Owner& o) const {
    const int use = o.use == Owner::Use::metadata   ? 0
                    : stays(round_.fs(), o)         ? 1
                    : o.use == Owner::Use::ea_block ? 2
                    : o.use == Owner::Use::map_node ? 3
                                                    : 4;
    return std::tuple(use, damaged_.contains(o.inode), o.inode, o.logical);
  }

  [[nodiscard]] uint64_t logical_cluster(const Owner& o, uint64_t cluster) const {
    const BlockNo block = std::max(first_block(cluster), o.first);
    return (o.logical + (block - o.first)) >> g_.cluster_bits;
  }

  // Two parts of one claim: runs of a file in one cluster (bigalloc), or the references to one attribute block.
  [[nodiscard]] bool same(const Owner& a, const Owner& b, uint64_t cluster) const {
    if (a.use != b.use) return false;
    if (a.use == Owner::Use::ea_block) return a.first == b.first;
    return a.use == Owner::Use::data && a.inode == b.inode && logical_cluster(a, cluster) == logical_cluster(b, cluster);
  }

  // Calls fn(cluster, claims) for the clusters that have more than one claim.
  template <class Fn>
  void go_along(Fn&& fn) {
    uint64_t steps = 0;
    std::vector<Claim> claims;
    std::vector<uint64_t> edges;
    for (const Owner& o : round_.run.owners) {
      claims.push_back({cluster_of(o.first), cluster_of(o.first + (o.count - 1)) + 1, &o});
      edges.insert(edges.end(), {claims.back().first, claims.back().end});
    }
    std::ranges::sort(claims, {}, &Claim::first);
    std::ranges::sort(edges);
    edges.erase(std::unique(edges.begin(), edges.end()), edges.end());
    std::vector<const Owner*> owners;
    std::vector<Claim> active;
    size_t next = 0;
    for (size_t e = 0; e + 1 < edges.size(); ++e) {
      std::erase_if(active, [&](const Claim& c) { return c.end <= edges[e]; });
      for (; next < claims.size() && claims[next].first == edges[e]; ++next) active.push_back(claims[next]);
      if (active.size() < 2) continue;
      for (uint64_t cluster = edges[e]; cluster < edges[e + 1]; ++cluster) {
        if (steps += active.size() * (active.size() > kMostWeighed ? active.size() : 1); steps > kMostSteps) return;
        fn(cluster, active);
      }
    }
  }

  // What speaks for each of two owners is summed up over a range that they share: in the middle of it both maps look alike.
  // Another range may be another fault, and the other's.
  void weigh_cluster(uint64_t cluster, const std::vector<Claim>& active) {
    if (active.size() > kMostWeighed || weighed_.size() > kMostPairs) return;
    std::vector<std::pair<InodeNo, int>> weights;
    for (const Claim& c : active)
      if (c.owner->use != Owner::Use::metadata)
        weights.emplace_back(c.owner->inode, evidence_.weigh(*c.owner, std::max(first_block(cluster), c.owner->first)));
    for (const auto& [ino, weight] : weights)
      for (const Claim& c : active)
        if (c.owner->inode != ino) others_[ino].insert(c.owner->inode);
    for (const auto& [a, weight_of_a] : weights)
      for (const auto& [b, weight_of_b] : weights)
        if (a < b) add_weight(weighed_[{a, b}], cluster, weight_of_a - weight_of_b);
  }

  static void add_weight(std::vector<SharedRange>& ranges, uint64_t cluster, int weight) {
    if (ranges.empty() || ranges.back().end < cluster) ranges.push_back({cluster, cluster, 0});
    ranges.back().end = cluster + 1;
    ranges.back().weight += weight;
  }

  // Above 0: more speaks for a in the cluster that is divided; below: for b.
  [[nodiscard]] int64_t compare(const Owner& a, const Owner& b) const {
    if (a.use == Owner::Use::metadata || b.use == Owner::Use::metadata)
      return int{a.use == Owner::Use::metadata} - int{b.use == Owner::Use::metadata};
    const auto it = weighed_.find(std::minmax(a.inode, b.inode));
    if (it == weighed_.end()) return 0;
    const auto behind = std::ranges::upper_bound(it->second, divided_, {}, &SharedRange::first);
    if (behind == it->second.begin() || std::prev(behind)->end <= divided_) return 0;
    return a.inode < b.inode ? std::prev(behind)->weight : -std::prev(behind)->weight;
  }

  // Of two owners of which neither has to stay, and for which as much speaks, one keeps what the other must not see; else the
  // one with fewer others in its blocks, as one wrong pointer can get into those of many.
  [[nodiscard]] bool keeps(const Owner& a, const Owner& b) {
    const bool a_stays = stays(round_.fs(), a), b_stays = stays(round_.fs(), b);
    if (a_stays || b_stays) return a_stays && b_stays ? rank(a) < rank(b) : a_stays;
    if (const int64_t weight = compare(a, b); weight != 0) return weight > 0;
    if (a.use == Owner::Use::data && b.use == Owner::Use::data)
      if (const bool a_sees = evidence_.may_show(a, b), b_sees = evidence_.may_show(b, a); a_sees != b_sees) return a_sees;
    if (const size_t of_a = others(a), of_b = others(b); of_a != of_b && a.use == b.use) return of_a < of_b;
    return rank(a) < rank(b);
  }

  [[nodiscard]] size_t others(const Owner& o) const {
    const auto it = others_.find(o.inode);
    return it == others_.end() ? 0 : it->second.size();
  }

  // What is in the block may be the owner's, or may be seen by its readers all the same.
  [[nodiscard]] bool may_have_copy(const Owner& o, const std::vector<Claim>& active) {
    return std::ranges::all_of(active, [&](const Claim& c) {
      return c.owner->inode == o.inode || compare(o, *c.owner) > 0 || evidence_.may_show(o, *c.owner);
    });
  }

  // Of two files: nothing speaks for the one that would keep the block but its number, and it is not for both to see.
  [[nodiscard]] bool may_be_anybodys(const Owner& keeper, const std::vector<Claim>& active) {
    if (keeper.use != Owner::Use::data || stays(round_.fs(), keeper)) return false;
    return std::ranges::any_of(active, [&](const Claim& c) {
      const Owner& o = *c.owner;
      // Of three each may be beaten by another, as they share other ranges.
      if (o.inode != keeper.inode && o.use == Owner::Use::data && compare(keeper, o) < 0) return !evidence_.may_show(keeper, o);
      return o.inode != keeper.inode && o.use == Owner::Use::data && !stays(round_.fs(), o) && !o.unwritten &&
             compare(keeper, o) == 0 && others(o) == others(keeper) &&
             damaged_.contains(o.inode) == damaged_.contains(keeper.inode) && !evidence_.may_show(keeper, o);
    });
  }

  void divide_cluster(uint64_t cluster, const std::vector<Claim>& active) {
    divided_ = cluster;
    const Owner* first = active.front().owner;
    for (const Claim& c : active)
      if (keeps(*c.owner, *first)) first = c.owner;
    const Owner& keeper = *first;
    const bool anybodys = may_be_anybodys(keeper, active);
    if (anybodys) to_root_.insert(cluster);
    for (const Claim& c : active) {
      const Owner& o = *c.owner;
      if (stays(round_.fs(), o) || (!anybodys && same(o, keeper, cluster))) continue;
      switch (o.use) {
        case Owner::Use::data: {
          Yield& yield = yields_[o.inode];
          if (anybodys) {
            yield.given_up.insert(logical_cluster(o, cluster));
          } else if (o.unwritten || may_have_copy(o, active)) {
            yield.clusters.insert(logical_cluster(o, cluster));
          } else {
            yield.holes.insert(logical_cluster(o, cluster));
            yield.other = keeper.inode;
          }
          break;
        }
        case Owner::Use::map_node:
          yields_[o.inode].nodes.insert(o.first + (std::max(first_block(cluster), o.first) - o.first));
          break;
        case Owner::Use::ea_block: attribute_blocks_[o.first].insert(o.inode); break;
        case Owner::Use::metadata: break;
      }
    }
  }

  // A file without a name, which gets one in lost+found with the next audit.
  Result<void> give_to_root() {
    if (to_root_.empty()) return {};
    const auto ino = allocate_inode(round_, InodeNo(EXT2_ROOT_INO));
    if (!ino) return std::unexpected(ino.error());
    if (!*ino) return leave_as_it_is();
    const auto raw = edit_inode(round_.fs(), round_.overlay, *ino);
    if (!raw) return std::unexpected(raw.error());
    std::vector<Run> runs;
    for (const uint64_t cluster : to_root_)
      runs.push_back({runs.size() << g_.cluster_bits, first_block(cluster), 1u << g_.cluster_bits, false});
    init_file(*raw, runs.size() * (uint64_t{g_.block_size} << g_.cluster_bits));
    const auto written = write_map(round_.fs(), round_.overlay, round_.blocks, *ino, *raw, runs, {});
    if (!written || *written != MapWritten::written) {
      std::ranges::fill(*raw, std::byte{0});
      if (written) return leave_as_it_is();
      return std::unexpected(written.error());
    }
    seal_inode(g_, *ino, *raw);
    return {};
  }

  // Without a file for it, what nobody can be given stays with all that name it.
  Result<void> leave_as_it_is() {
    for (auto& [ino, yield] : yields_) yield.given_up.clear();
    std::erase_if(yields_,
                  [](const auto& y) { return y.second.clusters.empty() && y.second.holes.empty() && y.second.nodes.empty(); });
    return {};
  }

  void init_file(MutableBytes raw, uint64_t size) const {
    store(raw, offsetof(ext2_inode, i_mode), kHiddenFileMode);
    store(raw, offsetof(ext2_inode, i_links_count), uint16_t{1});
    store(raw, offsetof(ext2_inode, i_flags), g_.extents() ? uint32_t{EXT4_EXTENTS_FL} : uint32_t{0});
    store(raw, offsetof(ext2_inode, i_size), static_cast<uint32_t>(size));
    store(raw, offsetof(ext2_inode, i_size_high), static_cast<uint32_t>(size >> 32));
    for (const size_t time : {offsetof(ext2_inode, i_atime), offsetof(ext2_inode, i_ctime), offsetof(ext2_inode, i_mtime)})
      store(raw, time, round_.now);
    if (g_.inode_size <= EXT2_GOOD_OLD_INODE_SIZE) return;
    const auto most = static_cast<uint16_t>(g_.inode_size - EXT2_GOOD_OLD_INODE_SIZE),
               usual = static_cast<uint16_t>(sizeof(ext2_inode_large) - EXT2_GOOD_OLD_INODE_SIZE);
    store(raw, offsetof(ext2_inode_large, i_extra_isize), std::min(most, usual));
    store(raw, offsetof(ext2_inode_large, i_crtime), round_.now);
  }

  Result<bool> move(InodeNo ino, Yield& yield) {
    const auto raw = edit_inode(round_.fs(), round_.overlay, ino);
    if (!raw) return std::unexpected(raw.error());
    const Inode inode(g_, ino, *raw);
    const Finding* cause = finding_of(ino);
    if (!inode.has_block_map() || !cause) return false;
    RunList list;
    MapWalker walker(round_.fs());
    const BlockMap& map = walker.walk(inode, list);
    if (std::ranges::any_of(map.defects, [](const MapDefect& d) { return d.kind != MapDefectKind::checksum; })) return false;
    std::erase_if(list.nodes, [&](BlockNo node) { return yield.nodes.contains(node); });
    list.runs = without(without(std::move(list.runs), yield.holes), yield.given_up);
    auto moved = relocate(round_, *cause, ino, *raw, list.runs, yield.clusters, list.nodes, budget_);
    std::set<uint64_t> zeros;
    if (moved && !*moved && inode.type() == FileType::regular) {
      zeros = never_written(list.runs, yield.clusters);
      std::erase_if(yield.clusters, [&](uint64_t cluster) { return zeros.contains(cluster); });
      list.runs = without(std::move(list.runs), zeros);
      if (!zeros.empty()) moved = relocate(round_, *cause, ino, *raw, list.runs, yield.clusters, list.nodes, budget_);
    }
    if (!moved) return moved;
    if (!*moved && !may_cut(inode, yield)) return false;
    if (!*moved) {
      const auto cut = cut_out(ino, *raw, std::move(list), yield);
      if (!cut || !*cut) return cut;
    }
    seal_inode(g_, ino, *raw);
    report(*cause, inode, zeros, "a hole now, for there is no room for a copy: it reads as zeros, as it did");
    report(*cause, inode, yield.clusters,
           *moved ? "copied" : "cut out, for there is no room for a copy; the other owner keeps it");
    report(*cause, inode, yield.holes,
           fmt::format("cut out: what is there may be {}, and is not for everyone who may read this file",
                       yield.other ? fmt::format("inode {}'s", yield.other) : std::string("the file system's own")));
    report(*cause, inode, yield.given_up, "cut out: nothing says whose it is; a file of root's in lost+found has it now");
    if (zeros.empty() && yield.clusters.empty() && yield.holes.empty() && yield.given_up.empty())
      round_.lose(*cause, "block map copied");
    return true;
  }

  // Those of the clusters in which the file has nothing but blocks that were never written: where there is no room for them, a
  // hole gives every reader the same.
  [[nodiscard]] std::set<uint64_t> never_written(const std::vector<Run>& runs, std::set<uint64_t> clusters) const {
    for (const Run& run : runs) {
      if (run.unwritten || run.count == 0) continue;
      clusters.erase(clusters.lower_bound(run.logical >> g_.cluster_bits),
                     clusters.upper_bound((run.logical + run.count - 1) >> g_.cluster_bits));
    }
    return clusters;
  }

  // A file of which the other owner keeps every byte can do without its own copy when there is no room for one.
  bool may_cut(const Inode& inode, const Yield& yield) {
    return inode.type() == FileType::regular && yield.nodes.empty() && !round_.blocks.allocate(BlockNo(g_.first_data_block));
  }

  Result<bool> cut_out(InodeNo ino, MutableBytes raw, RunList list, const Yield& yield) {
    list.runs = without(std::move(list.runs), yield.clusters);
    const auto written = write_map(round_.fs(), round_.overlay, round_.blocks, ino, raw, list.runs, list.nodes);
    if (!written) return std::unexpected(written.error());
    return *written == MapWritten::written;
  }

  [[nodiscard]] std::vector<Run> without(std::vector<Run> runs, const std::set<uint64_t>& clusters) const {
    for (auto it = clusters.begin(); it != clusters.end();) {
      const uint64_t first = *it;
      uint64_t end = first;
      for (; it != clusters.end() && *it == end; ++it) ++end;
      runs = without_logical(runs, first << g_.cluster_bits, (end - first) << g_.cluster_bits);
    }
    return runs;
  }

  Result<bool> move_attribute_block(BlockNo from, const std::set<InodeNo>& inodes) {
    const auto to = round_.blocks.allocate(from);
    if (!to) return false;
    const auto readable = copy_block(round_, from, *to);
    if (!readable) return readable;
    auto block = round_.overlay.edit(*to);
    if (!block) return std::unexpected(block.error());
    if (g_.metadata_csum() && load<ext2_ext_attr_header>(*block).h_magic == EXT2_EXT_ATTR_MAGIC)
      store(*block, offsetof(ext2_ext_attr_header, h_checksum), ea_block_checksum(g_, *to, *block));
    for (const InodeNo ino : inodes) {
      const auto raw = edit_inode(round_.fs(), round_.overlay, ino);
      if (!raw) return std::unexpected(raw.error());
      store(*raw, offsetof(ext2_inode, i_file_acl), static_cast<uint32_t>(to->value));
      if (g_.has_incompat(EXT4_FEATURE_INCOMPAT_64BIT))
        store(*raw, offsetof(ext2_inode, osd2.linux2.l_i_file_acl_high), static_cast<uint16_t>(to->value >> 32));
      seal_inode(g_, ino, *raw);
      if (const Finding* cause = finding_of(ino)) round_.lose(*cause, "attribute block copied");
    }
    return true;
  }

  // One loss for each range of the file; what is wholly behind its end is none of its bytes.
  void report(const Finding& cause, const Inode& inode, const std::set<uint64_t>& clusters, const std::string& what) {
    const uint32_t bits = g_.block_bits + g_.cluster_bits;
    for (auto it = clusters.begin(); it != clusters.end();) {
      const uint64_t first = *it;
      uint64_t end = first;
      for (; it != clusters.end() && *it == end; ++it) ++end;
      if (first << bits < inode.size())
        round_.lose(cause, what, ByteRange{first << bits, std::min(end << bits, inode.size())});
      else
        round_.lose(cause, what);
    }
  }

  [[nodiscard]] const Finding* finding_of(InodeNo ino) const {
    const auto own = round_.findings.of(Problem::block_multiply_claimed);
    const auto it = std::ranges::find_if(own, [&](const Finding& f) { return f.inode == ino; });
    return it == own.end() ? nullptr : &*it;
  }

  size_t answer(InodeNo ino) {
    size_t n = 0;
    for (Finding& f : round_.findings.of(Problem::block_multiply_claimed)) {
      if (f.inode != ino || f.repair == RepairState::staged) continue;
      f.repair = RepairState::staged;
      ++n;
    }
    return n;
  }

  // Clusters times owners that are looked at: an image can have any number of both.
  static constexpr uint64_t kMostSteps = uint64_t{1} << 22;
  // The same for what is weighed, which takes longer: owners of one cluster, and pairs of them.
  static constexpr size_t kMostWeighed = 8, kMostPairs = 4096;

  RepairRound& round_;
  const Geometry& g_;
  std::set<InodeNo> damaged_;
  std::map<InodeNo, Yield> yields_;
  std::map<BlockNo, std::set<InodeNo>> attribute_blocks_;
  std::set<uint64_t> to_root_;  // clusters that may be anybody's
  SharedEvidence evidence_;
  std::map<std::pair<InodeNo, InodeNo>, std::vector<SharedRange>> weighed_;  // by their clusters
  uint64_t divided_ = 0;                                    // the cluster at work
  std::map<InodeNo, std::set<InodeNo>> others_;             // that share blocks with it; 0: the file system
  uint64_t budget_;
};

}  // namespace

Result<size_t> repair_shared_blocks(RepairRound& round) {
  if (!round.may(Problem::block_multiply_claimed)) return 0;
  return SharedBlocks(round).part();
}

}  // namespace extscrub
