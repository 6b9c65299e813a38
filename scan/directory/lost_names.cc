#include "scan/directory/lost_names.h"

#include <algorithm>

#include "scan/format/dir_block.h"

namespace extscrub {

namespace {

constexpr uint64_t kMostBytes = 1 << 30;
constexpr size_t kMostNames = 10'000;

// The bitmap, where it can be believed; otherwise empty.
std::vector<std::byte> sound_bitmap(const FileSystem& fs, GroupNo group) {
  const Geometry& g = fs.geometry;
  const GroupDesc& d = fs.groups[group.value];
  std::vector<std::byte> bitmap(g.block_size);
  if (!d.readable || !d.checksum_ok || !g.metadata_csum() || d.block_uninit()) return {};
  if (!valid_location(g, group, d.block_bitmap, 1) || !fs.blocks->read(d.block_bitmap, bitmap)) return {};
  if (bitmap_checksum(g, bitmap, g.clusters_per_group) != d.block_bitmap_csum) return {};
  return bitmap;
}

bool is_plausible(const Geometry& g, const DirEntry& e) {
  return e.inode.value <= g.inodes && !e.name.empty() && e.name.find('/') == std::string_view::npos &&
         e.name.find('\0') == std::string_view::npos && (!g.has_incompat(EXT2_FEATURE_INCOMPAT_FILETYPE) || e.type < EXT2_FT_MAX);
}

// Nothing when the block is none of a directory's, or of an index.
std::optional<LostNames> read_leaf(const Geometry& g, BlockNo at, Bytes block) {
  LostNames leaf;
  leaf.block = at;
  const bool tail = g.metadata_csum() && leaf_tail(block);
  EntryWalk walk(tail ? block.first(block.size() - kDirTail) : block, g.block_size);
  unsigned position = 0;
  while (const auto e = walk.next()) {
    const unsigned here = position++;
    if (!e->inode) continue;
    if (!is_plausible(g, *e)) return {};
    if (here == 0 && e->name == ".")
      leaf.directory = e->inode;
    else if (!(here == 1 && leaf.directory && e->name == ".."))
      leaf.names.push_back({e->inode, std::string(e->name)});
  }
  const bool shaped = leaf.directory || tail || !g.metadata_csum();
  if (walk.broken() || !shaped || leaf.names.empty()) return {};
  return leaf;
}

class LostNameReader {
 public:
  LostNameReader(const FileSystem& fs, const InodeScan& scan, const std::set<GroupNo>& groups)
      : fs_(fs), g_(fs.geometry), scan_(scan), groups_(groups), block_(fs.geometry.block_size) {}

  LostNameSearch run() {
    for (GroupNo group; group.value < g_.groups && search_.whole; ++group) read_group(group);
    return std::move(search_);
  }

 private:
  void read_group(GroupNo group) {
    const GroupDesc& d = fs_.groups[group.value];
    if (g_.group_csum() && d.readable && d.checksum_ok && d.block_uninit()) return;  // nothing was ever put there
    const std::vector<std::byte> bitmap = sound_bitmap(fs_, group);
    const auto called_used = [&](uint32_t i) { return bitmap.empty() || test_bit(bitmap, i); };
    for (uint32_t i = 0; i < g_.clusters(group) && search_.whole; ++i) {
      if (scan_.claims.test(group, i) || !called_used(i)) continue;
      const BlockNo first = g_.group_first(group) + (uint64_t{i} << g_.cluster_bits);
      for (BlockNo b = first; b < first + (uint64_t{1} << g_.cluster_bits) && g_.contains(b); ++b) read_block(b);
    }
  }

  void read_block(BlockNo at) {
    read_ += g_.block_size;
    search_.whole = read_ <= kMostBytes && kept_ <= kMostNames;
    if (!search_.whole || !fs_.blocks->read(at, block_)) return;
    auto leaf = read_leaf(g_, at, block_);
    if (!leaf) return;
    std::erase_if(leaf->names, [&](const LostName& n) { return !is_gone(n.inode); });
    kept_ += leaf->names.size();
    if (!leaf->names.empty()) search_.found.push_back(std::move(*leaf));
  }

  [[nodiscard]] bool is_gone(InodeNo ino) const {
    const GroupNo group = g_.group_of(ino);
    const uint32_t index = ino - g_.group_first_inode(group);
    return groups_.contains(group) && (!scan_.used.test(group, index) || scan_.noise.test(group, index));
  }

  const FileSystem& fs_;
  const Geometry& g_;
  const InodeScan& scan_;
  const std::set<GroupNo>& groups_;
  std::vector<std::byte> block_;
  LostNameSearch search_;
  uint64_t read_ = 0;
  size_t kept_ = 0;
};

}  // namespace

LostNameSearch find_lost_names(const FileSystem& fs, const InodeScan& scan, const std::set<GroupNo>& groups) {
  return LostNameReader(fs, scan, groups).run();
}

}  // namespace extscrub
