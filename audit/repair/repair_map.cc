// Block maps: what makes sense of a damaged one is kept, and the map is written anew from that.
//
// First all damaged maps are looked through and what they keep is reserved, so that no new node or block is put where
// another damaged map, which the scan could not follow to its end, has its data. Then they are written one by one.
#include <algorithm>
#include <map>

#include "audit/edit/inode_edit.h"
#include "audit/edit/relocation.h"
#include "audit/repair/repair.h"
#include "audit/stage/map_builder.h"
#include "audit/stage/map_salvage.h"
#include "scan/filesystem/inode_table.h"
#include "scan/format/checksum.h"

namespace extscrub {

namespace {

bool is_journal(const FileSystem& fs, InodeNo ino) {
  return ino.value == EXT2_JOURNAL_INO ||
         (fs.geometry.has_compat(EXT3_FEATURE_COMPAT_HAS_JOURNAL) && ino.value == fs.super.s_journal_inum);
}

// The logical clusters of blocks that lie at the wrong place of their cluster, or in two of them.
std::set<uint64_t> misplaced_clusters(const Geometry& g, const std::vector<Run>& runs) {
  const uint64_t mask = (uint64_t{1} << g.cluster_bits) - 1;
  std::set<uint64_t> clusters;
  if (mask == 0) return clusters;
  std::optional<uint64_t> last, last_place;
  for (const Run& run : runs) {
    const uint64_t first = run.logical >> g.cluster_bits, end = ((run.logical + run.count - 1) >> g.cluster_bits) + 1;
    const uint64_t place = run.physical.value >> g.cluster_bits;
    if (first == last && place != last_place) clusters.insert(first);
    if ((run.physical.value ^ run.logical) & mask)
      for (uint64_t c = first; c < end; ++c) clusters.insert(c);
    last = end - 1;
    last_place = (run.physical.value + run.count - 1) >> g.cluster_bits;
  }
  return clusters;
}

// An indirect map whose inode was given EXTENTS_FL: its block numbers make a sound map of the file's size. `alone`: and nothing
// else uses those blocks.
bool is_indirect_map(const RepairRound& round, InodeNo ino, MutableBytes raw, bool alone) {
  const Geometry& g = round.geometry();
  std::vector<std::byte> copy(raw.begin(), raw.end());
  const uint32_t flags = Inode(g, ino, copy).base().i_flags & ~uint32_t{EXT4_EXTENTS_FL};
  store(MutableBytes(copy), offsetof(ext2_inode, i_flags), flags);
  const Inode inode(g, ino, copy);
  if (inode.block_area_is_blank() || inode.is_fast_symlink()) return false;
  RunList list;
  MapWalker walker(round.fs());
  const BlockMap& map = walker.walk(inode, list);
  if (alone && round.run.scan->claims_any(g, list)) return false;
  const uint64_t size = inode.size(), last = static_cast<uint64_t>(map.last_logical);
  return map.defects.empty() && map.data_blocks > 0 && size > last << g.block_bits && size <= (last + 1) << g.block_bits;
}

constexpr uint32_t kEofBlocks = 0x00400000;  // EXT4_EOFBLOCKS_FL of kernels before 5.10

class MapRepairs {
 public:
  explicit MapRepairs(RepairRound& round) : round_(round), budget_(copy_budget(round.overlay)) {}

  Result<size_t> make() {
    collect();
    for (const auto& [ino, findings] : damaged_)
      if (auto r = reserve(ino); !r) return std::unexpected(r.error());
    size_t answered = 0;
    for (const auto& [ino, findings] : damaged_) {
      const auto mended = mend(ino, *findings.front());
      if (!mended) return std::unexpected(mended.error());
      if (!*mended) continue;
      for (Finding* f : findings) f->repair = RepairState::staged;
      answered += findings.size();
      round_.stale = true;
    }
    return answered;
  }

 private:
  // The inodes all of whose damage the policy allows to mend. The resize inode's map follows from the descriptors.
  void collect() {
    damaged_ = round_.findings.by_inode(Pass::maps);
    std::erase_if(damaged_, [&](const auto& entry) {
      return entry.first.value == EXT2_RESIZE_INO ||
             !std::ranges::all_of(entry.second, [&](const Finding* f) { return round_.may(f->problem); });
    });
  }

  Result<void> reserve(InodeNo ino) {
    const auto raw = edit_inode(round_.fs(), round_.overlay, ino);
    if (!raw) return std::unexpected(raw.error());
    const Inode inode(round_.geometry(), ino, *raw);
    if (!inode.has_block_map()) return {};
    for (const Run& run : salvage_map(round_.fs(), *round_.run.scan, inode).runs) round_.blocks.reserve(run.physical, run.count);
    return {};
  }

  // False when the damage stays.
  Result<bool> mend(InodeNo ino, const Finding& cause) {
    const auto raw = edit_inode(round_.fs(), round_.overlay, ino);
    if (!raw) return std::unexpected(raw.error());
    const Inode inode(round_.geometry(), ino, *raw);
    if (!inode.has_block_map()) return false;
    SalvagedMap map = salvage_map(round_.fs(), *round_.run.scan, inode);
    if (map.sound) return false;  // another repair of this round has mended it
    if (ino.value != EXT2_BAD_INO) cut_misplaced(map);
    if (!map.whole || (!round_.lossy() && !map.lost.empty())) return false;
    // A log with a hole is no log: whoever sees to the journal makes it anew.
    if (is_journal(round_.fs(), ino) && !map.lost.empty()) return false;

    // What was salvaged from block numbers taken for extents is chance.
    const bool headless = load<ext3_extent_header>(inode.block_area()).eh_magic != EXT3_EXT_MAGIC;
    if (inode.uses_extents() && (headless || map.runs.empty()) && is_indirect_map(round_, ino, *raw, !map.runs.empty())) {
      store(*raw, offsetof(ext2_inode, i_flags), inode.base().i_flags & ~uint32_t{EXT4_EXTENTS_FL});
      seal_inode(round_.geometry(), ino, *raw);
      return true;
    }
    const bool cut = cut_behind_end(inode, map);
    const uint32_t flags = inode.base().i_flags;
    if (needs_extents(inode)) store(*raw, offsetof(ext2_inode, i_flags), flags | uint32_t{EXT4_EXTENTS_FL});
    const auto written = write(ino, *raw, cause, map);
    if (!written || !*written) {
      store(*raw, offsetof(ext2_inode, i_flags), flags);
      return written;
    }
    if (cut) round_.lose(cause, "blocks behind the end of the file cut");
    drop_bad_translator(inode, *raw, cause);
    seal_inode(round_.geometry(), ino, *raw);
    report_losses(inode, cause, map);
    return true;
  }

  void drop_bad_translator(const Inode& inode, MutableBytes raw, const Finding& cause) {
    const BlockNo block(inode.base().osd1.hurd1.h_i_translator);
    if (round_.fs().super.s_creator_os != EXT2_OS_HURD || !block || round_.geometry().contains(block)) return;
    store(raw, offsetof(ext2_inode, osd1.hurd1.h_i_translator), uint32_t{0});
    round_.lose(cause, "passive translator");
  }

  [[nodiscard]] bool needs_extents(const Inode& inode) const {
    return round_.geometry().cluster_bits && !inode.uses_extents() && inode.number().value != EXT2_BAD_INO;
  }

  // Blocks behind i_size may be there only unwritten (fallocate), marked so by old kernels (EOFBLOCKS_FL), or as fs-verity's
  // tree. But the size must not be in doubt itself. True when there were some.
  bool cut_behind_end(const Inode& inode, SalvagedMap& map) const {
    const Geometry& g = round_.geometry();
    if (inode.type() != FileType::regular || inode.number().value < g.first_inode || inode.size() == 0) return false;
    if (inode.is(kEofBlocks) || inode.is(EXT4_VERITY_FL)) return false;
    const auto doubts_size = [&](const FindingIndex& findings) {
      return std::ranges::any_of(findings.about(inode.number()),
                                 [](const Finding& f) { return info(f.problem).hides.has(Hidden::size); });
    };
    if (doubts_size(round_.findings) || (round_.first && doubts_size(*round_.first))) return false;
    const uint64_t end = (inode.size() + g.block_size - 1) >> g.block_bits;
    bool cut = false;
    for (Run& run : map.runs) {
      if (run.unwritten || run.logical + run.count <= end) continue;
      run.count = static_cast<uint32_t>(std::max(end, run.logical) - run.logical);
      cut = true;
    }
    std::erase_if(map.runs, [](const Run& run) { return run.count == 0; });
    return cut;
  }

  // A cluster that begins elsewhere in the file than in the image was never written like that. What of it is somebody else's too
  // is his: no copy of it is made.
  void cut_misplaced(SalvagedMap& map) const {
    const Geometry& g = round_.geometry();
    for (const uint64_t cluster : misplaced_clusters(g, map.runs)) {
      const uint64_t first = cluster << g.cluster_bits, count = uint64_t{1} << g.cluster_bits;
      const bool shared = std::ranges::any_of(map.runs, [&](const Run& r) {
        const uint64_t begin = std::max(first, r.logical), end = std::min(first + count, r.logical + r.count);
        for (uint64_t at = begin; at < end; ++at)
          if (is_shared(round_, r.physical + (at - r.logical))) return true;
        return false;
      });
      if (!shared) continue;
      map.runs = without_logical(map.runs, first, count);
      map.lost.push_back({first, first + count});
    }
  }

  Result<bool> write(InodeNo ino, MutableBytes raw, const Finding& cause, const SalvagedMap& map) {
    const bool by_block = ino.value == EXT2_BAD_INO;  // its blocks are single ones, wherever they lie
    const std::set<uint64_t> misplaced = by_block ? std::set<uint64_t>() : misplaced_clusters(round_.geometry(), map.runs);
    if (!misplaced.empty()) return relocate(round_, cause, ino, raw, map.runs, misplaced, map.nodes, budget_);
    const auto written = write_map(round_.fs(), round_.overlay, round_.blocks, ino, raw, map.runs, map.nodes);
    if (!written) return std::unexpected(written.error());
    return *written == MapWritten::written;
  }

  void report_losses(const Inode& inode, const Finding& cause, const SalvagedMap& map) {
    const uint32_t bits = round_.geometry().block_bits;
    const char* what = inode.type() == FileType::directory ? "entries cut" : "cut";
    for (const LogicalRange& r : map.lost)
      round_.lose(cause, what, ByteRange{r.first << bits, std::min(r.end << bits, inode.size())});
  }

  RepairRound& round_;
  std::map<InodeNo, std::vector<Finding*>> damaged_;
  uint64_t budget_;
};

}  // namespace

Result<size_t> repair_maps(RepairRound& round) { return MapRepairs(round).make(); }

}  // namespace extscrub
