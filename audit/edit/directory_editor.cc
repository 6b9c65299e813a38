#include "audit/edit/directory_editor.h"

#include <algorithm>

#include "audit/edit/directory_salvage.h"
#include "audit/stage/inline_directory.h"
#include "scan/directory/directory_checker.h"
#include "scan/filesystem/inode_table.h"
#include "scan/inodes/owned_block.h"

namespace extscrub {

namespace {

uint32_t bytes_of_names(const EntryForm& form, const std::vector<DirName>& names) {
  uint32_t sum = 0;
  for (const DirName& n : names)
    if (n.inode) sum += form.size_of(n);
  return sum;
}

}  // namespace

Result<DirectoryEditor> DirectoryEditor::open(const RepairRound& round, InodeNo ino) {
  auto raw = edit_inode(round.fs(), round.overlay, ino);
  if (!raw) return std::unexpected(raw.error());
  return DirectoryEditor(round, ino, *raw);
}

DirectoryEditor::DirectoryEditor(const RepairRound& round, InodeNo ino, MutableBytes raw)
    : round_(&round), fs_(&round.fs()), overlay_(&round.overlay), ino_(ino), raw_(raw),
      space_(round.fs(), round.overlay, round.blocks, ino, raw) {
  const Geometry& g = fs_->geometry;
  const Inode inode(g, ino, raw);
  const DirectoryTable& table = round.run.scan->directories;
  encrypted_ = g.has_incompat(EXT4_FEATURE_INCOMPAT_ENCRYPT) && inode.is(EXT4_ENCRYPT_FL);
  folded_ = g.has_incompat(EXT4_FEATURE_INCOMPAT_CASEFOLD) && inode.is(EXT4_CASEFOLD_FL);
  in_inode_ = g.has_incompat(EXT4_FEATURE_INCOMPAT_INLINE_DATA) && inode.is(EXT4_INLINE_DATA_FL);
  indexed_ = !in_inode_ && inode.is(EXT2_INDEX_FL);
  hash_version_ = encrypted_ && folded_ ? EXT2_HASH_SIPHASH : default_hash_version(fs_->super);
  form_ = {g.block_size,
           encrypted_ && folded_,
           g.metadata_csum(),
           g.has_incompat(EXT2_FEATURE_INCOMPAT_FILETYPE),
           g.metadata_csum() ? inode_seed(g, ino, inode.base().i_generation) : 0,
           ino,
           InodeNo()};
  may_seal_ = round.lossy() || fits_inode_checksum(g, ino, raw);
  if (in_inode_)
    read_inline();
  else
    read_blocks();
  if (const uint32_t index = table.find(ino); !form_.parent && index < table.directories.size())
    form_.parent = InodeNo(table.directories[index].parent);
  if (!form_.parent || ino.value == EXT2_ROOT_INO) form_.parent = InodeNo(EXT2_ROOT_INO);
}

void DirectoryEditor::read_blocks() {
  const Salvage salvage(round_->run, ino_, encrypted_);
  readable_ = space_.whole();
  std::vector<std::byte> bytes(form_.block_size);
  const uint64_t most = 2 * fs_->geometry.blocks + 1024;  // as the audit reads
  for (const Run& run : space_.runs())
    for (uint32_t i = 0; i < run.count; ++i) {
      if (blocks_.size() == most) {
        readable_ = false;
        return;
      }
      Block& block = blocks_.emplace_back();
      block.logical = run.logical + i;
      if (!fs_->blocks->read(run.physical + i, bytes)) {
        readable_ = false;
        blocks_.pop_back();
        continue;
      }
      block.node = indexed_ && (block.logical == 0 || looks_like_node(fs_->geometry, bytes));
      if (indexed_ && block.logical == 0 && !form_.with_hash)
        if (const auto info = load<ext2_dx_root_info>(bytes, kHtreeRootInfo); info.hash_version <= EXT2_HASH_TEA)
          hash_version_ = info.hash_version;
      const auto tail = form_.with_checksum && !block.node ? leaf_tail(bytes) : std::nullopt;
      block.doubtful = tail && *tail != leaf_checksum(form_.seed, bytes);
      read_area(salvage, Bytes(bytes).first(tail ? form_.room() : form_.block_size), block.logical == 0, block);
    }
}

void DirectoryEditor::read_inline() {
  const auto areas = inline_areas(fs_->geometry, ino_, raw_);
  readable_ = areas.has_value();
  if (!areas) return;
  const Salvage salvage(round_->run, ino_, encrypted_);
  form_.parent = InodeNo(load<uint32_t>(raw_, offsetof(ext2_inode, i_block)));
  blocks_.resize(2);
  // Findings count the first area's offsets from the begin of i_block.
  read_area(salvage, areas->first, false, blocks_[0]);
  for (DirName& n : blocks_[0].names) n.offset += sizeof(uint32_t);
  blocks_[1].logical = 1;
  read_area(salvage, areas->second, false, blocks_[1]);
}

void DirectoryEditor::read_area(const Salvage& salvage, Bytes area, bool first, Block& block) {
  unsigned position = first ? 0 : 2;
  uint32_t begin = 0;
  while (true) {
    EntryWalk walk(area, form_.block_size, begin);
    while (const auto e = walk.next()) {
      take(salvage, *e, area, position < 2, block);
      position = std::min(position + 1, 2u);
      if (begin > 0 && e->inode) ++salvaged_;
    }
    if (!walk.broken()) return;
    block.changed = true;
    const Salvage::Result found = salvage.behind(area, walk.offset());
    if (found.entry) {
      take(salvage, *found.entry, area, position < 2, block);
      ++salvaged_;
    }
    position = std::min(position + 1, 2u);
    if (!found.next) return;
    begin = *found.next;
  }
}

// `dots`: `.` and `..` belong there, and another entry stays only if it gives a file the name it misses.
void DirectoryEditor::take(const Salvage& salvage, const DirEntry& e, Bytes area, bool dots, Block& block) {
  if (!e.inode) return;
  if (dots) {
    if (e.name == ".") return;
    if (e.name == "..") {
      form_.parent = e.inode;
      return;
    }
    if (!salvage.plausible(e) || !salvage.lacks_name(e.inode)) return;
  }
  DirName& n = block.names.emplace_back();
  n.name = e.name;
  n.inode = e.inode;
  n.type = e.type;
  n.logical = block.logical;
  n.offset = e.offset;
  const uint32_t hash_at = entry_size(e.name.size());
  if (form_.with_hash && hash_at + sizeof n.hash <= e.rec_len) n.hash = load<uint64_t>(area, e.offset + hash_at);
}

DirName* DirectoryEditor::find(uint64_t logical, uint32_t offset, InodeNo target) {
  const auto first = in_inode_ ? blocks_.begin() : std::ranges::lower_bound(blocks_, logical, {}, &Block::logical);
  for (auto b = first; b != blocks_.end() && (in_inode_ || b->logical == logical); ++b)
    for (DirName& n : b->names)
      if (n.offset == offset && n.inode == target) return &n;
  return nullptr;
}

void DirectoryEditor::changed(const DirName& name, bool moved) {
  changed(name.logical);
  if (moved && indexed_) lay_out_ = true;
}

void DirectoryEditor::changed(uint64_t logical) {
  const auto it = std::ranges::lower_bound(blocks_, logical, {}, &Block::logical);
  if (it != blocks_.end() && it->logical == logical) it->changed = true;
}

void DirectoryEditor::set_parent(InodeNo parent) {
  form_.parent = parent;
  changed(0);
}

void DirectoryEditor::add(DirName name) {
  if (indexed_) lay_out_ = true;
  for (; with_room_ < blocks_.size(); ++with_room_) {
    Block& b = blocks_[with_room_];
    uint32_t room = form_.room() - (b.logical == 0 ? EntryForm::dots() : 0);
    if (in_inode_) {
      const auto areas = inline_areas(fs_->geometry, ino_, raw_);
      room = static_cast<uint32_t>(b.logical == 0 ? areas->first.size() : areas->second.size());
    }
    if (b.node || !may_write(b) || bytes_of_names(form_, b.names) + form_.size_of(name) > room) continue;
    b.changed = true;
    name.logical = b.logical;
    b.names.push_back(std::move(name));
    return;
  }
  Block& b = blocks_.emplace_back();
  b.logical = blocks_.size() > 1 ? blocks_[blocks_.size() - 2].logical + 1 : 0;
  b.fresh = b.changed = true;
  name.logical = b.logical;
  b.names.push_back(std::move(name));
}

DirectoryEditor::Names DirectoryEditor::names_in(const Block& block) {
  Names names;
  for (const DirName& n : block.names)
    if (n.inode) names.push_back(&n);
  return names;
}

Result<bool> set_dotdot(const RepairRound& round, InodeNo ino, InodeNo parent) {
  const FileSystem& fs = round.fs();
  const Geometry& g = fs.geometry;
  auto raw = edit_inode(fs, round.overlay, ino);
  if (!raw) return std::unexpected(raw.error());
  const Inode inode(g, ino, *raw);
  if (inode.is(EXT4_INLINE_DATA_FL) && g.has_incompat(EXT4_FEATURE_INCOMPAT_INLINE_DATA)) {
    const bool sound = fits_inode_checksum(g, ino, *raw);
    store(*raw, offsetof(ext2_inode, i_block), parent.value);
    if (sound) seal_inode(g, ino, *raw);
    return true;
  }
  const DirectorySpace space(fs, round.overlay, round.blocks, ino, *raw);
  if (space.runs().empty() || space.runs().front().logical != 0) return false;
  const uint32_t seed = g.metadata_csum() ? inode_seed(g, ino, inode.base().i_generation) : 0;
  std::vector<std::byte> before(g.block_size);
  if (!round.overlay.read(space.block(0), before)) return false;
  if (const auto sealed = g.metadata_csum() ? sealed_for(g, before).seed : std::nullopt;
      sealed && *sealed != seed && !round.lossy())
    return false;
  auto block = round.overlay.edit(space.block(0));
  if (!block) return std::unexpected(block.error());
  EntryWalk walk(*block, g.block_size);
  const auto dot = walk.next(), dotdot = walk.next();
  if (!dot || !dotdot || dotdot->name != "..") return false;
  store(*block, dotdot->offset, parent.value);
  if (!g.metadata_csum()) return true;
  if (leaf_tail(*block)) {
    seal_leaf(seed, *block);
  } else if (inode.is(EXT2_INDEX_FL)) {
    const size_t at = kHtreeRootInfo + load<ext2_dx_root_info>(*block, kHtreeRootInfo).info_length;
    if (at + sizeof(ext2_dx_countlimit) > block->size()) return true;
    const auto c = load<ext2_dx_countlimit>(*block, at);
    if (c.limit == htree_limit(g, at) && c.count <= c.limit) seal_htree_node(seed, *block, at);
  }
  return true;
}

}  // namespace extscrub
