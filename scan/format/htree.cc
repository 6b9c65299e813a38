#include "scan/format/htree.h"

#include <algorithm>

#include "scan/format/checksum.h"
#include "scan/format/crc.h"
#include "scan/format/dir_block.h"

namespace extscrub {

namespace {

constexpr uint32_t kBlockMask = 0x0FFFFFFF;
constexpr uint32_t kLastHash = 0xFFFFFFFE;

size_t tail_size(const Geometry& g) { return g.metadata_csum() ? sizeof(ext2_dx_tail) : 0; }

// CRC32C of the entries in use and what lies before them, then the tail with its checksum taken as zero.
uint32_t node_checksum(uint32_t seed, Bytes block, size_t entries_at, const ext2_dx_countlimit& c) {
  uint32_t crc = crc32c(seed, block.first(entries_at + c.count * sizeof(ext2_dx_entry)));
  crc = crc32c(crc, block.subspan(entries_at + c.limit * sizeof(ext2_dx_entry), sizeof(uint32_t)));
  return crc32c_of(crc, uint32_t{0});
}

void check_root_info(const Geometry& g, const ext2_dx_root_info& info, bool siphash, HtreeNode& node) {
  const auto wrong = [&](HtreeDefectKind kind, uint64_t expected, uint64_t found) {
    node.defects.push_back({kind, 0, expected, found});
  };
  if (info.reserved_zero != 0) wrong(HtreeDefectKind::reserved, 0, info.reserved_zero);
  if (info.info_length < sizeof info || info.info_length % sizeof(ext2_dx_entry) != 0 ||
      (g.metadata_csum() && info.info_length != sizeof info))
    wrong(HtreeDefectKind::length, sizeof info, info.info_length);
  if (info.unused_flags & EXT2_HASH_FLAG_INCOMPAT) wrong(HtreeDefectKind::flags, 0, info.unused_flags);
  if (siphash ? info.hash_version != EXT2_HASH_SIPHASH : info.hash_version > EXT2_HASH_TEA)
    wrong(HtreeDefectKind::version, siphash ? EXT2_HASH_SIPHASH : EXT2_HASH_TEA, info.hash_version);
  const unsigned most = g.has_incompat(EXT4_FEATURE_INCOMPAT_LARGEDIR) ? 2 : 1;
  if (info.indirect_levels > most) wrong(HtreeDefectKind::levels, most, info.indirect_levels);
}

}  // namespace

size_t htree_limit(const Geometry& g, size_t entries_at) {
  return (g.block_size - entries_at - tail_size(g)) / sizeof(ext2_dx_entry);
}

void seal_htree_node(uint32_t seed, MutableBytes block, size_t entries_at) {
  const auto c = load<ext2_dx_countlimit>(block, entries_at);
  const uint32_t crc = node_checksum(seed, block, entries_at, c);
  store(block, entries_at + c.limit * sizeof(ext2_dx_entry) + offsetof(ext2_dx_tail, dt_checksum), crc);
}

std::optional<uint32_t> htree_node_seed(const Geometry& g, Bytes block) {
  const size_t entries_at = looks_like_node(g, block) ? kHtreeNodeEntries : kHtreeRootInfo + sizeof(ext2_dx_root_info);
  const auto c = load<ext2_dx_countlimit>(block, entries_at);
  if (c.limit != htree_limit(g, entries_at) || c.count == 0 || c.count > c.limit) return std::nullopt;
  const size_t tail = entries_at + c.limit * sizeof(ext2_dx_entry);
  uint32_t crc = crc32c_before(load<uint32_t>(block, tail + offsetof(ext2_dx_tail, dt_checksum)), bytes_of(uint32_t{0}));
  crc = crc32c_before(crc, block.subspan(tail, sizeof(uint32_t)));
  return crc32c_before(crc, block.first(entries_at + c.count * sizeof(ext2_dx_entry)));
}

bool looks_like_node(const Geometry& g, Bytes block) {
  const bool empty_entry = load<uint32_t>(block) == 0 && load<uint8_t>(block, 6) == 0 &&
                           decode_rec_len(load<uint16_t>(block, 4), g.block_size) == g.block_size;
  return empty_entry && load<ext2_dx_countlimit>(block, kHtreeNodeEntries).limit == htree_limit(g, kHtreeNodeEntries);
}

HtreeNode parse_htree_node(const Geometry& g, Bytes block, uint32_t logical, uint32_t blocks, uint32_t seed, bool siphash) {
  HtreeNode node;
  size_t entries_at = kHtreeNodeEntries;
  if (logical == 0) {
    const auto info = load<ext2_dx_root_info>(block, kHtreeRootInfo);
    check_root_info(g, info, siphash, node);
    if (!node.defects.empty()) return node;  // where the entries are is not known
    node.version = info.hash_version;
    node.levels = info.indirect_levels;
    entries_at = kHtreeRootInfo + info.info_length;
  }
  const auto wrong = [&](HtreeDefectKind kind, uint64_t expected, uint64_t found) {
    node.defects.push_back({kind, logical, expected, found});
  };
  const auto c = load<ext2_dx_countlimit>(block, entries_at);
  const size_t most = htree_limit(g, entries_at);
  if (c.limit != most) wrong(HtreeDefectKind::limit, most, c.limit);
  if (c.count == 0 || c.count > most) wrong(HtreeDefectKind::count, most, c.count);
  if (!node.defects.empty()) return node;
  if (g.metadata_csum()) {
    const uint32_t expected = node_checksum(seed, block, entries_at, c);
    const auto found = load<uint32_t>(block, entries_at + c.limit * sizeof(ext2_dx_entry) + offsetof(ext2_dx_tail, dt_checksum));
    if (expected != found) wrong(HtreeDefectKind::checksum, expected, found);
  }
  node.entries.reserve(c.count);
  uint32_t before = 0;
  for (uint32_t i = 0; i < c.count; ++i) {
    const auto e = load<ext2_dx_entry>(block, entries_at + i * sizeof(ext2_dx_entry));
    const HtreeEntry entry{i == 0 ? 0 : e.hash, e.block & kBlockMask};
    if (entry.block >= blocks) wrong(HtreeDefectKind::block_range, blocks - 1, entry.block);
    if ((entry.hash & ~1u) < before) wrong(HtreeDefectKind::order, before, entry.hash & ~1u);
    before = entry.hash & ~1u;
    node.entries.push_back(entry);
  }
  return node;
}

namespace {

class Verifier {
 public:
  Verifier(unsigned levels, std::span<const HtreeNodeAt> nodes, std::span<const uint8_t> kinds, std::span<const HashRange> ranges,
           std::vector<std::pair<uint32_t, uint32_t>>& continued)
      : levels_(levels), nodes_(nodes), kinds_(kinds), ranges_(ranges), continued_(continued), referenced_(kinds.size()) {}

  std::vector<HtreeDefect> run() {
    if (nodes_.empty() || nodes_.front().logical != 0) return {};
    referenced_[0] = 1;
    walk(nodes_.front(), 0, kLastHash);
    for (size_t i = 0; i < referenced_.size(); ++i) {
      if (referenced_[i] == 0 && kinds_[i] != HashRange::unseen && whole_)
        defects_.push_back({HtreeDefectKind::unreferenced, static_cast<uint32_t>(i)});
      if (referenced_[i] > 1)
        defects_.push_back({HtreeDefectKind::referenced_again, static_cast<uint32_t>(i), 1, referenced_[i]});
    }
    return std::move(defects_);
  }

 private:
  // The depth is at most three, as each level is entered once; every block is entered once.
  void walk(const HtreeNodeAt& node, uint32_t low, uint32_t high, unsigned level = 0) {
    uint32_t leaf_before = 0;
    for (size_t i = 0; i < node.entries.size(); ++i) {
      const HtreeEntry& e = node.entries[i];
      const uint32_t from = i == 0 ? low : e.hash & ~1u;
      if (from < low || from > high) wrong(HtreeDefectKind::range, node.logical, low, from);
      const bool last = i + 1 == node.entries.size();
      uint32_t to = last ? high : node.entries[i + 1].hash;
      const bool leaf_here = level == levels_;
      // Names with the next leaf's first hash may lie here too only when its entry says so.
      if (!last) to = to & 1 || !leaf_here ? to & ~1u : to == 0 ? 0 : to - 1;
      if (!claim(e.block)) continue;
      if (kinds_[e.block] == HashRange::unseen) {
        if (!leaf_here) whole_ = false;
        continue;
      }
      if ((kinds_[e.block] == HashRange::leaf) != leaf_here) {
        wrong(HtreeDefectKind::depth, e.block, levels_ + 1, level + 1);
        whole_ = false;
        continue;
      }
      if (leaf_here) {
        check_leaf(e.block, from, to);
        if (e.hash & 1 && i > 0 && ranges_[leaf_before].high == from && ranges_[e.block].low == from)
          continued_.emplace_back(leaf_before, e.block);
        leaf_before = e.block;
      } else if (const auto* child = find(e.block)) {
        walk(*child, from, to, level + 1);
      } else {
        whole_ = false;
      }
    }
  }

  // Whether the block is to be looked at: it exists, and this is the first reference.
  bool claim(uint32_t block) {
    if (block >= referenced_.size()) {
      whole_ = false;
      return false;
    }
    if (referenced_[block] < UINT8_MAX) ++referenced_[block];
    return referenced_[block] == 1;
  }

  void check_leaf(uint32_t block, uint32_t from, uint32_t to) {
    const HashRange& r = ranges_[block];
    if (r.low > r.high) return;  // no names
    if (r.low < from) wrong(HtreeDefectKind::range, block, from, r.low);
    if (r.high > to) wrong(HtreeDefectKind::range, block, to, r.high);
  }

  const HtreeNodeAt* find(uint32_t logical) const {
    const auto it = std::ranges::lower_bound(nodes_, logical, {}, &HtreeNodeAt::logical);
    return it != nodes_.end() && it->logical == logical ? &*it : nullptr;
  }

  void wrong(HtreeDefectKind kind, uint32_t logical, uint64_t expected, uint64_t found) {
    defects_.push_back({kind, logical, expected, found});
  }

  unsigned levels_;
  std::span<const HtreeNodeAt> nodes_;
  std::span<const uint8_t> kinds_;
  std::span<const HashRange> ranges_;
  std::vector<std::pair<uint32_t, uint32_t>>& continued_;
  std::vector<uint8_t> referenced_;
  std::vector<HtreeDefect> defects_;
  bool whole_ = true;  // the whole tree was seen
};

}  // namespace

std::vector<HtreeDefect> verify_htree(unsigned levels, std::span<const HtreeNodeAt> nodes, std::span<const uint8_t> kinds,
                                      std::span<const HashRange> ranges, std::vector<std::pair<uint32_t, uint32_t>>& continued) {
  return Verifier(levels, nodes, kinds, ranges, continued).run();
}

}  // namespace extscrub
