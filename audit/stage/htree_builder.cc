#include "audit/stage/htree_builder.h"

#include <algorithm>
#include <tuple>

#include "scan/format/htree.h"

namespace extscrub {

namespace {

constexpr size_t kRootEntries = kHtreeRootInfo + sizeof(ext2_dx_root_info);
constexpr uint32_t kMostIndexedBlocks = 1u << 28;  // a block number in the index has 28 bits

}  // namespace

bool HtreeBuilder::hash_names(std::span<const DirName* const> names) {
  std::vector<Name> all;
  all.reserve(names.size());
  for (const DirName* n : names) {
    std::optional<uint32_t> hash;
    if (form_.with_hash)
      hash = static_cast<uint32_t>(n->hash) & ~1u;
    else
      hash = folded_ ? hasher_.folded_hash(version_, n->name) : hasher_.hash(version_, n->name);
    if (!hash) return false;
    all.push_back({*hash, n});
  }
  std::ranges::sort(all, {}, [](const Name& n) { return std::tie(n.hash, n.name->name); });
  sorted_.clear();
  hashes_.clear();
  for (const Name& n : all) {
    sorted_.push_back(n.name);
    hashes_.push_back(n.hash);
  }
  return true;
}

void HtreeBuilder::cut_leaves(uint32_t room) {
  leaf_ends_.clear();
  below_.assign(1, {});
  for (size_t at = 0; at < sorted_.size();) {
    const size_t n = std::max<size_t>(names_that_fit(form_, room, std::span(sorted_).subspan(at)), 1);
    // Bit 0 says that names with this hash lie in the leaf before too.
    const uint32_t continued = at > 0 && hashes_[at - 1] == hashes_[at] ? 1 : 0;
    at += n;
    leaf_ends_.push_back(at);
    below_[0].push_back({hashes_[at - n] | continued, static_cast<uint32_t>(leaf_ends_.size())});
  }
}

// The nodes lie behind the leaves, level by level; each level's children are spread evenly.
bool HtreeBuilder::build_levels() {
  nodes_.clear();
  const unsigned most_levels = g_.has_incompat(EXT4_FEATURE_INCOMPAT_LARGEDIR) ? 2 : 1;
  const size_t in_root = htree_limit(g_, kRootEntries), in_node = htree_limit(g_, kHtreeNodeEntries);
  uint64_t next = below_[0].size() + 1;
  while (below_.back().size() > in_root) {
    if (nodes_.size() == most_levels) return false;
    const std::vector<Child>& children = below_.back();
    const size_t count = (children.size() + in_node - 1) / in_node;
    std::vector<Node> level;
    std::vector<Child> above;
    for (size_t i = 0; i < count; ++i) {
      level.push_back({children.size() * i / count, children.size() * (i + 1) / count});
      above.push_back({children[level.back().first].hash, static_cast<uint32_t>(next++)});
    }
    nodes_.push_back(std::move(level));
    below_.push_back(std::move(above));
  }
  return next <= kMostIndexedBlocks;
}

std::optional<uint64_t> HtreeBuilder::plan(std::span<const DirName* const> names, unsigned percent) {
  if (names.empty() || !hash_names(names)) return std::nullopt;
  cut_leaves(form_.room() * percent / 100);
  if (!build_levels()) return std::nullopt;
  uint64_t blocks = 1;
  for (const auto& level : below_) blocks += level.size();
  return blocks;
}

void HtreeBuilder::write_entries(MutableBytes block, size_t at, std::span<const Child> children) const {
  for (size_t i = 0; i < children.size(); ++i) {
    store(block, at + i * sizeof(ext2_dx_entry), children[i].hash);
    store(block, at + i * sizeof(ext2_dx_entry) + sizeof(uint32_t), children[i].block);
  }
  // The first entry needs no hash: limit and count are there.
  ext2_dx_countlimit c{};
  c.limit = static_cast<uint16_t>(htree_limit(g_, at));
  c.count = static_cast<uint16_t>(children.size());
  store(block, at, c);
  if (form_.with_checksum) seal_htree_node(form_.seed, block, at);
}

void HtreeBuilder::write(uint64_t logical, MutableBytes block) const {
  if (logical == 0) {
    // `..` reaches over the index, so that who does not know it sees two entries.
    EntryForm plain = form_;
    plain.with_checksum = false;
    put_leaf(plain, true, {}, block);
    ext2_dx_root_info root{};
    root.hash_version = static_cast<uint8_t>(version_);
    root.info_length = sizeof root;
    root.indirect_levels = static_cast<uint8_t>(nodes_.size());
    store(block, kHtreeRootInfo, root);
    return write_entries(block, kRootEntries, below_.back());
  }
  size_t at = logical - 1;
  if (at < leaf_ends_.size()) {
    const size_t begin = at == 0 ? 0 : leaf_ends_[at - 1];
    return put_leaf(form_, false, std::span(sorted_).subspan(begin, leaf_ends_[at] - begin), block);
  }
  at -= leaf_ends_.size();
  for (size_t level = 0; level < nodes_.size(); ++level) {
    if (at >= nodes_[level].size()) {
      at -= nodes_[level].size();
      continue;
    }
    const Node& node = nodes_[level][at];
    std::ranges::fill(block, std::byte{0});
    store(block, 4, encode_rec_len(form_.block_size, form_.block_size));
    return write_entries(block, kHtreeNodeEntries, std::span(below_[level]).subspan(node.first, node.end - node.first));
  }
}

}  // namespace extscrub
