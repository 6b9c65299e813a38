#include "audit/edit/relocation.h"

#include <algorithm>
#include <map>

#include "audit/stage/map_builder.h"

namespace extscrub {

namespace {

// Hands out a fresh cluster for each logical cluster, one behind the other where there is room, and takes them all back
// unless they are kept.
class FreshClusters {
 public:
  FreshClusters(RepairRound& round, BlockNo goal) : round_(round), goal_(goal) {}
  ~FreshClusters() {
    if (!kept_)
      for (const auto& [logical, block] : fresh_) round_.blocks.release(block, 1);
  }
  FreshClusters(const FreshClusters&) = delete;
  FreshClusters& operator=(const FreshClusters&) = delete;

  bool take(const std::set<uint64_t>& clusters) {
    for (const uint64_t logical : clusters) {
      const auto block = round_.blocks.allocate(goal_);
      if (!block) return false;
      fresh_.emplace(logical, *block);
      goal_ = *block + (uint64_t{1} << round_.geometry().cluster_bits);
    }
    return true;
  }
  [[nodiscard]] BlockNo operator[](uint64_t logical) const { return fresh_.at(logical); }
  void keep() { kept_ = true; }

 private:
  RepairRound& round_;
  BlockNo goal_;
  std::map<uint64_t, BlockNo> fresh_;
  bool kept_ = false;
};

constexpr uint64_t kMostStaged = uint64_t{256} << 20;  // bytes

struct Move {
  uint64_t logical;
  BlockNo from, to;
};

}  // namespace

uint64_t copy_budget(const Overlay& overlay) {
  return kMostStaged - std::min(kMostStaged, overlay.staged().size() * uint64_t{overlay.block_size()});
}

Result<bool> copy_block(RepairRound& round, BlockNo from, BlockNo to) {
  std::vector<std::byte> bytes(round.geometry().block_size);
  const bool readable = round.overlay.read(from, bytes).has_value();
  if (!readable) std::ranges::fill(bytes, std::byte{0});
  auto block = round.overlay.edit(to);
  if (!block) return std::unexpected(block.error());
  std::ranges::copy(bytes, block->begin());
  return readable;
}

Result<bool> relocate(RepairRound& round, const Finding& cause, InodeNo ino, MutableBytes raw, std::span<const Run> runs,
                      const std::set<uint64_t>& clusters, std::span<const BlockNo> nodes, uint64_t& budget) {
  const Geometry& g = round.geometry();
  const uint64_t per_cluster = uint64_t{1} << g.cluster_bits;
  if (clusters.size() > budget >> (g.block_bits + g.cluster_bits)) return false;
  FreshClusters fresh(round, runs.empty() ? g.group_first(g.group_of(ino)) : runs.front().physical);
  if (!fresh.take(clusters)) return false;

  std::vector<Run> moved;
  std::vector<Move> moves;
  for (Run run : runs)
    while (run.count > 0) {
      const uint64_t cluster = run.logical >> g.cluster_bits, in_cluster = run.logical & (per_cluster - 1);
      if (!clusters.contains(cluster)) {
        // Up to the next cluster that moves, in one piece.
        const auto next = clusters.upper_bound(cluster);
        const uint64_t end = next == clusters.end() ? run.logical + run.count : *next << g.cluster_bits;
        const auto n = static_cast<uint32_t>(std::min<uint64_t>(run.count, end - run.logical));
        moved.push_back({run.logical, run.physical, n, run.unwritten});
        run = {run.logical + n, run.physical + n, run.count - n, run.unwritten};
        continue;
      }
      const auto n = static_cast<uint32_t>(std::min<uint64_t>(run.count, per_cluster - in_cluster));
      const BlockNo to = fresh[cluster] + in_cluster;
      moved.push_back({run.logical, to, n, run.unwritten});
      for (uint32_t i = 0; i < n && !run.unwritten; ++i) moves.push_back({run.logical + i, run.physical + i, to + i});
      run = {run.logical + n, run.physical + n, run.count - n, run.unwritten};
    }

  const auto written = write_map(round.fs(), round.overlay, round.blocks, ino, raw, moved, nodes);
  if (!written) return std::unexpected(written.error());
  if (*written != MapWritten::written) return false;
  fresh.keep();
  for (const Move& m : moves) {
    const auto readable = copy_block(round, m.from, m.to);
    if (!readable) return readable;
    if (!*readable)
      round.lose(cause, "unreadable block: zeros in the copy",
                 ByteRange{m.logical << g.block_bits, (m.logical + 1) << g.block_bits});
  }
  budget -= clusters.size() << (g.block_bits + g.cluster_bits);
  return true;
}

}  // namespace extscrub
