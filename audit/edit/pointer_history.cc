#include "audit/edit/pointer_history.h"

#include <algorithm>

#include "scan/filesystem/inode_table.h"
#include "scan/format/extent.h"
#include "scan/map/block_map.h"

namespace extscrub {

namespace {

constexpr unsigned kDeepest = 5;  // of an extent tree

template <class Entry>
std::vector<Entry> entries_of(Bytes node) {
  const auto header = load<ext3_extent_header>(node);
  std::vector<Entry> entries(std::min<size_t>(header.eh_entries, node.size() / sizeof(Entry) - 1));
  for (size_t i = 0; i < entries.size(); ++i) entries[i] = load<Entry>(node, sizeof header + i * sizeof(Entry));
  return entries;
}

bool is_extent_node(Bytes node, unsigned depth) {
  const auto header = load<ext3_extent_header>(node);
  return header.eh_magic == EXT3_EXT_MAGIC && header.eh_depth == depth;
}

bool leaf_names(Bytes node, uint64_t logical, BlockNo block) {
  return std::ranges::any_of(entries_of<ext3_extent>(node), [&](const ext3_extent& e) {
    const Run run = run_of(e);
    return run.logical <= logical && logical < run.logical + run.count && run.physical + (logical - run.logical) == block;
  });
}

// How many blocks one pointer of a node stands for.
uint64_t span_of(const Geometry& g, unsigned level) {
  uint64_t span = 1;
  for (unsigned i = 1; i < level; ++i) span *= g.block_size / sizeof(uint32_t);
  return span;
}

// Where in the map's three trees a block lies: the level of the tree (0: direct), and how far from its begin.
std::pair<unsigned, uint64_t> place_in_map(const Geometry& g, uint64_t logical) {
  if (logical < EXT2_NDIR_BLOCKS) return {0, logical};
  logical -= EXT2_NDIR_BLOCKS;
  unsigned level = 1;
  for (; level < 3 && logical >= span_of(g, level + 1); ++level) logical -= span_of(g, level + 1);
  return {level, logical};
}

}  // namespace

std::optional<PointerHistory::Holder> PointerHistory::find_extent_leaf(const Inode& inode, uint64_t logical,
                                                                       Holder holder) const {
  std::vector<std::byte> bytes;
  Bytes node = inode.block_area();
  unsigned depth = load<ext3_extent_header>(node).eh_depth;
  if (depth > kDeepest) return {};
  for (; depth > 0; --depth) {
    if (!is_extent_node(node, depth)) return {};
    BlockNo child;
    for (const auto& e : entries_of<ext3_extent_idx>(node))
      if (e.ei_block <= logical) child = child_of(e);
    std::vector<std::byte> below(fs_.geometry.block_size);
    if (!child || !fs_.geometry.contains(child) || !fs_.blocks->read(child, below)) return {};
    bytes = std::move(below);
    node = bytes;
    holder.block = child;
    holder.node = true;
  }
  if (!is_extent_node(node, 0)) return {};
  return holder;
}

std::optional<PointerHistory::Holder> PointerHistory::find_indirect_node(const Inode& inode, uint64_t logical,
                                                                         Holder holder) const {
  auto [level, at] = place_in_map(fs_.geometry, logical);
  if (level == 0) return holder;
  BlockNo node(load<uint32_t>(inode.block_area(), (EXT2_NDIR_BLOCKS - 1 + level) * sizeof(uint32_t)));
  std::vector<std::byte> bytes(fs_.geometry.block_size);
  for (; level > 1; --level) {
    if (!node || !fs_.geometry.contains(node) || !fs_.blocks->read(node, bytes)) return {};
    const uint64_t span = span_of(fs_.geometry, level);
    node = BlockNo(load<uint32_t>(bytes, at / span * sizeof(uint32_t)));
    at %= span;
  }
  if (!node || !fs_.geometry.contains(node)) return {};
  holder.block = node;
  holder.node = true;
  return holder;
}

std::optional<PointerHistory::Holder> PointerHistory::find_holder(const Owner& owner, const Inode& inode,
                                                                  uint64_t logical) const {
  const InodePlace place = place_of(fs_, owner.inode);
  const Holder table{place.block, place.offset, false};
  if (owner.use != Owner::Use::data) return table;
  return inode.uses_extents() ? find_extent_leaf(inode, logical, table) : find_indirect_node(inode, logical, table);
}

// Empty where there is none, or one that may not be the newest.
std::vector<std::byte> PointerHistory::newest_version(BlockNo block) {
  if (!journal_) {
    journal_ = open_journal(fs_, nullptr);
    if (journal_->facts.usable && !journal_->facts.external) history_ = read_history(*journal_, fs_);
  }
  const auto copies = history_.of(block);
  if (copies.empty()) return {};
  const LoggedCopy& newest = copies.back();
  const bool is_newest = newest.transaction >= history_.unbroken || history_.unbroken == 0;
  std::vector<std::byte> bytes(fs_.geometry.block_size);
  if (!is_newest || newest.revoked || !read_copy(*journal_, history_, newest, bytes)) return {};
  return bytes;
}

std::optional<bool> PointerHistory::names(const Owner& owner, const Inode& inode, const Holder& holder, Bytes version,
                                          uint64_t logical, BlockNo block) const {
  const Geometry& g = fs_.geometry;
  if (holder.node) {
    if (inode.uses_extents())
      return is_extent_node(version, 0) ? std::optional(leaf_names(version, logical, block)) : std::nullopt;
    const uint64_t at = place_in_map(g, logical).second % (g.block_size / sizeof(uint32_t));
    return load<uint32_t>(version, at * sizeof(uint32_t)) == block.value;
  }
  const Inode then(g, owner.inode, version.subspan(holder.inode_at, g.inode_size));
  if (then.type() != inode.type() || then.base().i_generation != inode.base().i_generation || then.base().i_links_count == 0)
    return {};
  if (owner.use == Owner::Use::ea_block) return then.ea_block() == block;
  if (!then.has_block_map() || then.uses_extents() != inode.uses_extents()) return {};
  const Bytes map = then.block_area();
  if (owner.use == Owner::Use::map_node) {
    if (!then.uses_extents()) {
      const auto is = [&](size_t slot) { return load<uint32_t>(map, slot * sizeof(uint32_t)) == block.value; };
      return is(EXT2_IND_BLOCK) || is(EXT2_DIND_BLOCK) || is(EXT2_TIND_BLOCK) ? std::optional(true) : std::nullopt;
    }
    if (load<ext3_extent_header>(map).eh_depth == 0) return {};
    const bool named =
        std::ranges::any_of(entries_of<ext3_extent_idx>(map), [&](const ext3_extent_idx& e) { return child_of(e) == block; });
    return named ? std::optional(true) : std::nullopt;
  }
  if (!then.uses_extents()) return load<uint32_t>(map, logical * sizeof(uint32_t)) == block.value;
  return is_extent_node(map, 0) ? std::optional(leaf_names(map, logical, block)) : std::nullopt;
}

std::optional<bool> PointerHistory::was_written(const Owner& owner, const Inode& inode, BlockNo block) {
  if (!fs_.geometry.has_compat(EXT3_FEATURE_COMPAT_HAS_JOURNAL)) return {};
  const uint64_t logical = owner.logical + (block - owner.first);
  const auto holder = find_holder(owner, inode, logical);
  if (!holder) return {};
  const std::vector<std::byte> version = newest_version(holder->block);
  if (version.empty()) return {};
  return names(owner, inode, *holder, version, logical, block);
}

}  // namespace extscrub
