#include "audit/edit/entries_of.h"

#include <algorithm>

#include "audit/edit/inode_edit.h"
#include "audit/stage/inline_directory.h"
#include "scan/filesystem/inode_table.h"

namespace extscrub {

namespace {

using Visit = std::function<void(const EntryAt&, const DirEntry&)>;

constexpr uint32_t kParentNumber = sizeof(uint32_t);  // before the first area of an inline directory

bool is_dot(const DirEntry& e) { return e.name == "." || e.name == ".."; }

bool walk_inline(const RepairRound& round, InodeNo ino, const Visit& fn) {
  const Geometry& g = round.geometry();
  std::vector<std::byte> raw(g.inode_size);
  if (!read_inode(round.fs(), ino, raw)) return false;
  const auto areas = inline_areas(g, ino, raw);
  if (!areas) return false;
  for (const uint32_t part : {0u, 1u}) {
    EntryWalk walk(part == 0 ? areas->first : areas->second, g.block_size);
    while (const auto e = walk.next()) fn({BlockNo(), part, e->offset + (part == 0 ? kParentNumber : 0)}, *e);
    if (walk.broken()) return false;
  }
  return true;
}

bool walk_block(const RepairRound& round, BlockNo at, uint64_t logical, MutableBytes block, const Visit& fn) {
  if (!round.fs().blocks->read(at, block)) return false;
  const auto tail = round.geometry().metadata_csum() ? leaf_tail(block) : std::nullopt;
  EntryWalk walk(Bytes(block).first(block.size() - (tail ? kDirTail : 0)), round.geometry().block_size);
  unsigned position = logical == 0 ? 0 : 2;
  while (const auto e = walk.next())
    if (position++ >= 2 && !is_dot(*e)) fn({at, logical, e->offset}, *e);
  return !walk.broken();
}

}  // namespace

bool for_each_entry_of(const RepairRound& round, const Directory& d, const Visit& fn) {
  const DirectoryTable& table = round.run.scan->directories;
  if (d.is(Directory::in_inode)) return walk_inline(round, d.inode, fn);
  const uint32_t index = table.find(d.inode);
  bool whole = true;
  std::vector<std::byte> block(round.geometry().block_size);
  for (const DirectoryRun& run : table.runs) {
    if (run.directory != index) continue;
    for (uint32_t i = 0; i < run.count; ++i)
      whole = walk_block(round, BlockNo(run.physical + i), run.logical + i, block, fn) && whole;
  }
  return whole;
}

namespace {

Result<bool> set_inline(const RepairRound& round, InodeNo ino, const EntryAt& at, InodeNo target) {
  const Geometry& g = round.geometry();
  auto raw = edit_inode(round.fs(), round.overlay, ino);
  if (!raw) return std::unexpected(raw.error());
  const auto areas = inline_areas(g, ino, *raw);
  const bool sealed = fits_inode_checksum(g, ino, *raw);
  if (!areas || (!sealed && !round.lossy())) return false;
  if (at.logical == 0) {
    store(areas->first, at.offset - kParentNumber, target.value);
  } else {
    store(areas->second, at.offset, target.value);
    drop_value_hash(g, ino, *raw);
  }
  seal_inode(g, ino, *raw);
  return true;
}

}  // namespace

Result<bool> set_target(const RepairRound& round, const Directory& d, const EntryAt& at, InodeNo target) {
  const Geometry& g = round.geometry();
  if (!at.block) return set_inline(round, d.inode, at, target);
  std::vector<std::byte> bytes(g.block_size);
  if (!round.overlay.read(at.block, bytes)) return false;
  const auto tail = g.metadata_csum() ? leaf_tail(bytes) : std::nullopt;
  const uint32_t seed = tail ? inode_seed(g, d.inode, d.generation) : 0;
  const bool sealed = !tail || *tail == leaf_checksum(seed, bytes);
  store(MutableBytes(bytes), at.offset, target.value);
  if (tail && !sealed && *tail != leaf_checksum(seed, bytes) && !round.lossy()) return false;
  if (tail) seal_leaf(seed, bytes);
  auto block = round.overlay.edit(at.block);
  if (!block) return std::unexpected(block.error());
  std::ranges::copy(bytes, block->begin());
  return true;
}

}  // namespace extscrub
