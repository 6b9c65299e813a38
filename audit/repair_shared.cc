// Blocks that several claim: one keeps them, and every other gets a copy of its own, so that each file keeps the contents
// that a reader sees now. What is the file system's own keeps its place; so do inodes whose map says where the file system
// looks for them (the journal, the resize inode, the list of bad blocks).
#include <algorithm>
#include <map>
#include <tuple>

#include "audit/map_builder.h"
#include "audit/relocation.h"
#include "scan/checksum.h"
#include "scan/inode_table.h"

namespace extscrub {

namespace {

// Clusters [first, end) that an owner claims.
struct Claim {
  uint64_t first = 0, end = 0;
  const Owner* owner = nullptr;
};

// What one inode has to give up.
struct Yield {
  std::set<uint64_t> clusters;  // logical ones, of its data
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
  explicit SharedBlocks(RepairRound& round) : round_(round), g_(round.geometry()), budget_(copy_budget(round.overlay)) {
    for (const Loss& loss : round.losses) damaged_.insert(loss.inode);
  }

  Result<size_t> part() {
    divide();
    size_t answered = 0;
    for (const auto& [block, inodes] : attribute_blocks_) {
      const auto moved = move_attribute_block(block, inodes);
      if (!moved) return std::unexpected(moved.error());
      if (*moved)
        for (const InodeNo ino : inodes) answered += answer(ino);
    }
    for (const auto& [ino, yield] : yields_) {
      const auto moved = move(ino, yield);
      if (!moved) return std::unexpected(moved.error());
      if (*moved) answered += answer(ino);
    }
    round_.stale = round_.stale || answered > 0;
    return answered;
  }

 private:
  [[nodiscard]] uint64_t cluster_of(BlockNo b) const { return (b - BlockNo(g_.first_data_block)) >> g_.cluster_bits; }
  [[nodiscard]] BlockNo first_block(uint64_t cluster) const { return BlockNo(g_.first_data_block + (cluster << g_.cluster_bits)); }

  // The lowest keeps the cluster. A tree node or an attribute block says by itself whose it is; and of two files the one that
  // has lost nothing else is more likely the one that wrote there.
  [[nodiscard]] auto rank(const Owner& o) const {
    const int use = o.use == Owner::Use::metadata ? 0 : stays(round_.fs(), o) ? 1 : o.use == Owner::Use::ea_block ? 2 : o.use == Owner::Use::map_node ? 3 : 4;
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

  // Goes along the clusters; decides who keeps each, and notes down who yields.
  void divide() {
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
        if (steps_ += active.size(); steps_ > kMostSteps) return;
        divide_cluster(cluster, active);
      }
    }
  }

  void divide_cluster(uint64_t cluster, const std::vector<Claim>& active) {
    const Owner& keeper = *std::ranges::min_element(active, {}, [&](const Claim& c) { return rank(*c.owner); })->owner;
    for (const Claim& c : active) {
      const Owner& o = *c.owner;
      if (&o == &keeper || stays(round_.fs(), o) || same(o, keeper, cluster)) continue;
      switch (o.use) {
        case Owner::Use::data: yields_[o.inode].clusters.insert(logical_cluster(o, cluster)); break;
        case Owner::Use::map_node: yields_[o.inode].nodes.insert(o.first + (std::max(first_block(cluster), o.first) - o.first)); break;
        case Owner::Use::ea_block: attribute_blocks_[o.first].insert(o.inode); break;
        case Owner::Use::metadata: break;
      }
    }
  }

  Result<bool> move(InodeNo ino, const Yield& yield) {
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
    const auto moved = relocate(round_, *cause, ino, *raw, list.runs, yield.clusters, list.nodes, budget_);
    if (!moved || !*moved) return moved;
    seal_inode(g_, ino, *raw);
    report(*cause, inode, yield);
    return true;
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

  // One loss for each range of the file that was copied.
  void report(const Finding& cause, const Inode& inode, const Yield& yield) {
    const uint32_t bits = g_.block_bits + g_.cluster_bits;
    for (auto it = yield.clusters.begin(); it != yield.clusters.end();) {
      const uint64_t first = *it;
      uint64_t end = first;
      for (; it != yield.clusters.end() && *it == end; ++it) ++end;
      round_.lose(cause, "copied", ByteRange{first << bits, std::max(std::min(end << bits, inode.size()), first << bits)});
    }
    if (yield.clusters.empty()) round_.lose(cause, "block map copied");
  }

  [[nodiscard]] const Finding* finding_of(InodeNo ino) const {
    const auto it = std::ranges::find_if(round_.findings, [&](const Finding& f) { return f.problem == Problem::block_multiply_claimed && f.inode == ino; });
    return it == round_.findings.end() ? nullptr : &*it;
  }

  size_t answer(InodeNo ino) {
    size_t n = 0;
    for (Finding& f : round_.findings) {
      if (f.problem != Problem::block_multiply_claimed || f.inode != ino || f.repair == RepairState::staged) continue;
      f.repair = RepairState::staged;
      ++n;
    }
    return n;
  }

  // Clusters times owners that are looked at: an image can have any number of both.
  static constexpr uint64_t kMostSteps = uint64_t{1} << 22;

  RepairRound& round_;
  const Geometry& g_;
  std::set<InodeNo> damaged_;
  std::map<InodeNo, Yield> yields_;
  std::map<BlockNo, std::set<InodeNo>> attribute_blocks_;
  uint64_t steps_ = 0;
  uint64_t budget_;
};

}  // namespace

Result<size_t> repair_shared_blocks(RepairRound& round) {
  if (!round.may(Problem::block_multiply_claimed)) return 0;
  return SharedBlocks(round).part();
}

}  // namespace extscrub
