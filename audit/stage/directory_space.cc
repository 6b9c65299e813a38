#include "audit/stage/directory_space.h"

#include <algorithm>

#include "audit/stage/map_builder.h"
#include "scan/format/checksum.h"

namespace extscrub {

DirectorySpace::DirectorySpace(const FileSystem& fs, Overlay& overlay, BlockAllocator& blocks, InodeNo ino, MutableBytes raw)
    : fs_(fs), overlay_(overlay), blocks_(blocks), ino_(ino), raw_(raw) {
  read_map();
}

void DirectorySpace::read_map() {
  runs_.clear();
  nodes_.clear();
  clusters_ = 0;
  const Inode inode(fs_.geometry, ino_, raw_);
  if (!inode.has_block_map()) return;
  RunList list;
  MapWalker walker(fs_);
  const BlockMap& map = walker.walk(inode, list);
  runs_ = std::move(list.runs);
  nodes_ = std::move(list.nodes);
  whole_ = map.whole;
  clusters_ = map.clusters;
  const bool sorted = std::ranges::is_sorted(runs_, {}, &Run::logical);
  const auto overlap = [](const Run& a, const Run& b) { return a.logical + a.count > b.logical; };
  if (sorted && std::ranges::adjacent_find(runs_, overlap) == runs_.end()) return;
  whole_ = false;
  std::ranges::stable_sort(runs_, {}, &Run::logical);
}

bool DirectorySpace::has_holes() const {
  uint64_t next = 0;
  for (const Run& r : runs_) {
    if (r.logical != next) return true;
    next += r.count;
  }
  return false;
}

BlockNo DirectorySpace::block(uint64_t logical) const {
  const auto it = std::ranges::partition_point(runs_, [=](const Run& r) { return r.logical + r.count <= logical; });
  return it->physical + (logical - it->logical);
}

// The first blocks of the clusters that the directory has, each once.
std::vector<BlockNo> DirectorySpace::clusters() const {
  std::vector<BlockNo> result;
  const uint64_t mask = (uint64_t{1} << fs_.geometry.cluster_bits) - 1;
  for (const Run& r : runs_)
    for (uint64_t b = r.physical.value & ~mask; b < r.physical.value + r.count; b += mask + 1)
      if (result.empty() || result.back() != BlockNo(b)) result.push_back(BlockNo(b));
  return result;
}

Result<bool> DirectorySpace::resize(uint64_t count) { return take(clusters(), count); }

Result<bool> DirectorySpace::replace(uint64_t count) {
  const auto used = [&](BlockNo first) { return blocks_.was_used(first); };
  if (std::ranges::none_of(clusters(), used)) return resize(count);  // it was replaced already
  auto moved = take({}, count);
  return moved && !*moved ? resize(count) : moved;
}

// `have`: the clusters that it keeps, as far as they are wanted.
Result<bool> DirectorySpace::take(std::vector<BlockNo> have, uint64_t count) {
  const Geometry& g = fs_.geometry;
  const uint64_t per_cluster = uint64_t{1} << g.cluster_bits;
  have.resize(std::min<uint64_t>(have.size(), (count + per_cluster - 1) / per_cluster));
  const size_t kept = have.size();
  const auto give_back = [&] {
    for (size_t i = kept; i < have.size(); ++i) blocks_.release(have[i], per_cluster);
    return false;
  };
  while (have.size() * per_cluster < count) {
    const auto fresh = blocks_.allocate(have.empty() ? g.group_first(g.group_of(ino_)) : have.back() + per_cluster);
    if (!fresh) return give_back();
    have.push_back(*fresh);
  }
  std::vector<Run> wanted;
  for (uint64_t at = 0; at < count; at += per_cluster) {
    const BlockNo first = have[at / per_cluster];
    const auto n = static_cast<uint32_t>(std::min(per_cluster, count - at));
    if (!wanted.empty() && wanted.back().physical + wanted.back().count == first && wanted.back().count <= UINT32_MAX - n)
      wanted.back().count += n;
    else
      wanted.push_back({at, first, n, false});
  }
  const auto same = [](const Run& a, const Run& b) {
    return a.logical == b.logical && a.physical == b.physical && a.count == b.count && a.unwritten == b.unwritten;
  };
  const Inode inode(g, ino_, raw_);
  const uint64_t size = count * g.block_size;
  if (std::ranges::equal(wanted, runs_, same) && inode.size() == size) return true;

  const auto written = write_map(fs_, overlay_, blocks_, ino_, raw_, wanted, nodes_);
  if (!written) return std::unexpected(written.error());
  if (*written != MapWritten::written) return give_back();
  const uint64_t before = clusters_, blocks_before = inode.blocks512();
  read_map();
  store(raw_, offsetof(ext2_inode, i_size), static_cast<uint32_t>(size));
  if (g.has_incompat(EXT4_FEATURE_INCOMPAT_LARGEDIR))
    store(raw_, offsetof(ext2_inode, i_size_high), static_cast<uint32_t>(size >> 32));
  // What attributes are charged with stays in i_blocks.
  const uint64_t unit = per_cluster * (inode.counts_in_blocks() ? 1 : g.block_size / 512);
  const uint64_t blocks = blocks_before + clusters_ * unit - std::min(before * unit, blocks_before);
  store(raw_, offsetof(ext2_inode, i_blocks), static_cast<uint32_t>(blocks));
  if (g.has_ro_compat(EXT4_FEATURE_RO_COMPAT_HUGE_FILE))
    store(raw_, offsetof(ext2_inode, osd2.linux2.l_i_blocks_hi), static_cast<uint16_t>(blocks >> 32));
  seal_inode(g, ino_, raw_);
  return true;
}

}  // namespace extscrub
