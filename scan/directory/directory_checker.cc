#include "scan/directory/directory_checker.h"

#include <algorithm>

#include "scan/attribute/ea_value.h"
#include "scan/directory/lost_directory.h"
#include "scan/filesystem/inode_table.h"
#include "scan/format/crc.h"

namespace extscrub {

namespace {

constexpr size_t kShortestCipherName = 16;
constexpr uint32_t kInlineBlockArea = 60;  // bytes of i_block
constexpr uint32_t kInlineDotDot = 4;      // the inode of `..`, before the entries

bool has_illegal_character(std::string_view name) { return name.find('/') != name.npos || name.find('\0') != name.npos; }

}  // namespace

unsigned default_hash_version(const ext2_super_block& super) {
  return super.s_def_hash_version <= EXT2_HASH_TEA ? super.s_def_hash_version : EXT2_HASH_HALF_MD4;
}

DirectoryChecker::DirectoryChecker(const FileSystem& fs, InodeScan& scan, const DirHasher& hasher, HashRanges& ranges,
                                   DirectorySink& sink, std::span<const InodeNo> own_files)
    : fs_(fs), g_(fs.geometry), own_files_(own_files), scan_(scan), hasher_(hasher), ranges_(ranges), sink_(sink),
      names_(fs.geometry.block_size), has_types_(fs.geometry.has_incompat(EXT2_FEATURE_INCOMPAT_FILETYPE)),
      strict_names_(fs.super.s_encoding_flags & EXT4_ENC_STRICT_MODE_FL) {}

void DirectoryChecker::check_block(uint32_t index, BlockNo at, uint32_t logical, Bytes block) {
  directory_ = &scan_.directories.directories[index];
  index_ = index;
  block_ = at;
  logical_ = logical;
  range_ = {};
  const bool indexed = directory_->is(Directory::indexed);
  const bool node = indexed && take_node(block);
  // A node has a checksum of its own kind. The tail of a block that hides entries is verified all the same.
  const size_t end = g_.metadata_csum() && !node ? check_tail(block) : block.size();
  names_.clear();
  check_entries(block.first(end), 0, logical == 0 ? 0 : 2, !node);
  if (indexed && !node) store_range();
}

void DirectoryChecker::check_inline(uint32_t index, BlockNo at, const Inode& inode) {
  directory_ = &scan_.directories.directories[index];
  index_ = index;
  block_ = at;
  logical_ = 0;
  const Bytes area = inode.block_area();
  const auto more = inode_ea_value(g_, inode, kSystemIndex, "data");
  if (!more) return mark_incomplete();  // the attribute is missing, or damaged
  const size_t rest = more->size();
  if (rest % 4 != 0 || (rest > 0 && rest < kShortestEntry)) {
    EntryDefect d;
    d.found = kInlineBlockArea + rest;
    sink_.entry(fill(d, EntryDefectKind::inline_size));
  }
  directory_->dotdot = load<uint32_t>(area);
  if (directory_->dotdot == 0) {
    EntryDefect d;
    sink_.entry(fill(d, EntryDefectKind::dotdot));
  }
  names_.clear();
  check_entries(area, kInlineDotDot, 2, true);
  check_entries(*more, 0, 2, true);
}

void DirectoryChecker::hash_block(uint32_t index, uint32_t logical, Bytes block) {
  directory_ = &scan_.directories.directories[index];
  index_ = index;
  logical_ = logical;
  range_ = {};
  if (ranges_.kinds[directory_->first_range + logical] != HashRange::leaf) return;
  const size_t end = g_.metadata_csum() && leaf_tail(block) ? block.size() - kDirTail : block.size();
  EntryWalk walk(block.first(end), g_.block_size);
  entries_.clear();
  while (const auto e = walk.next())
    if (e->inode) entries_.push_back(*e);
  hash_entries(block, directory_->hash_version);
  for (const std::optional<uint32_t>& hash : hashes_)
    if (hash) take_hash(*hash);
  store_range();
}

void DirectoryChecker::check_entries(Bytes area, uint32_t begin, unsigned position, bool leaf) {
  EntryWalk walk(area, g_.block_size, begin);
  entries_.clear();
  while (const auto e = walk.next()) {
    if (position == 0)
      check_dot(*e, area);
    else if (position == 1)
      check_dotdot(*e, area);
    else if (e->inode)
      entries_.push_back(*e);
    position = std::min(position + 1, 2u);
  }
  const bool hashed = leaf && directory_->is(Directory::indexed);
  if (hashed) hash_entries(area, assumed_version());
  for (size_t i = 0; i < entries_.size(); ++i) check_entry(entries_[i], hashed ? hashes_[i] : std::nullopt);
  EntryDefect d;
  d.offset = walk.offset();
  if (walk.broken()) {
    sink_.entry(fill(d, EntryDefectKind::record));
    mark_incomplete();
  } else if (position < 2) {
    sink_.entry(fill(d, EntryDefectKind::dotdot));
  }
}

void DirectoryChecker::check_dot(const DirEntry& e, Bytes area) {
  // The byte behind the name exists, as no entry is shorter than 12 bytes.
  if (!e.inode || e.name != "." || area[e.offset + kEntryHeader + 1] != std::byte{0}) return defect(EntryDefectKind::dot, e);
  if (e.inode != directory_->inode) defect(EntryDefectKind::dot_inode, e, directory_->inode.value, e.inode.value);
  if (e.rec_len > 2 * kShortestEntry) defect(EntryDefectKind::dot_large, e, kShortestEntry, e.rec_len);
  check_type(e, EXT2_FT_DIR);
}

void DirectoryChecker::check_dotdot(const DirEntry& e, Bytes area) {
  if (!e.inode || e.name != ".." || area[e.offset + kEntryHeader + 2] != std::byte{0}) return defect(EntryDefectKind::dotdot, e);
  std::atomic_ref(directory_->dotdot).store(e.inode.value, std::memory_order_relaxed);
  check_type(e, EXT2_FT_DIR);
}

void DirectoryChecker::check_entry(const DirEntry& e, std::optional<uint32_t> hash) {
  if (!check_target(e)) return;
  check_name(e);
  if (const uint8_t type = scan_.links.type(e.inode); type != EXT2_FT_UNKNOWN && !is_lost(e, type)) check_type(e, type);
  if (directory_->is(Directory::encrypted)) check_policy(e);
  if (hash) take_hash(*hash);
  check_duplicate(e, hash);
  take_reference(e);
}

// Whether the entry may count as a reference to its inode.
bool DirectoryChecker::check_target(const DirEntry& e) {
  const uint32_t ino = e.inode.value;
  const auto wrong = [&](EntryDefectKind kind) {
    defect(kind, e);
    return false;
  };
  if (e.inode == directory_->inode) return wrong(EntryDefectKind::self);
  const bool is_own =
      (ino != EXT2_ROOT_INO && ino < g_.first_inode) || std::ranges::find(own_files_, e.inode) != own_files_.end();
  if (!g_.valid_inode(e.inode) || is_own) return wrong(EntryDefectKind::inode_range);
  const GroupNo group = g_.group_of(e.inode);
  const uint32_t index = e.inode - g_.group_first_inode(group);
  if (!fs_.bad_blocks.empty() && std::ranges::binary_search(fs_.bad_blocks, place_of(fs_, e.inode).block))
    return wrong(EntryDefectKind::inode_on_bad_block);
  if (e.name == "." || e.name == "..") return wrong(EntryDefectKind::dot_again);
  if (ino == EXT2_ROOT_INO) return wrong(EntryDefectKind::root);
  if (e.name.empty()) return wrong(EntryDefectKind::name_empty);
  if (scan_.links.in_use(e.inode)) {
    const auto& values = scan_.ea_inodes;
    if (values.empty() || !std::ranges::binary_search(values, e.inode)) return true;
    // Without an attribute that uses it the flag is wrong rather than the name.
    defect(EntryDefectKind::value_inode, e);
    return !scan_.holds_ea_value(e.inode);
  }
  if (is_lost(e, EXT2_FT_UNKNOWN)) return false;
  return wrong(index >= scan_.tallies[group.value].scanned ? EntryDefectKind::inode_uninit : EntryDefectKind::inode_unused);
}

// Whether the entry is right, and the inode is not, in that it is a directory. `type`: the inode's; unknown when it is not
// in use.
bool DirectoryChecker::is_lost(const DirEntry& e, uint8_t type) {
  const bool in_use = type != EXT2_FT_UNKNOWN;
  const bool said = has_types_ ? e.type == EXT2_FT_DIR : !in_use;
  if (!said || type == EXT2_FT_DIR || !is_lost_directory(fs_, scan_, e.inode, directory_->inode)) return false;
  defect(EntryDefectKind::lost_directory, e, EXT2_FT_DIR, type);
  return true;
}

void DirectoryChecker::check_name(const DirEntry& e) {
  if (directory_->is(Directory::encrypted)) {
    if (e.name.size() < kShortestCipherName) defect(EntryDefectKind::name_short, e, kShortestCipherName, e.name.size());
    return;
  }
  if (has_illegal_character(e.name) || (strict_names_ && directory_->is(Directory::casefold) && !hasher_.well_formed(e.name)))
    defect(EntryDefectKind::name_invalid, e);
}

void DirectoryChecker::check_type(const DirEntry& e, uint8_t expected) {
  if (!has_types_) expected = EXT2_FT_UNKNOWN;  // the byte belongs to the name's length, and is zero
  if (e.type != expected) defect(EntryDefectKind::type, e, expected, e.type);
}

void DirectoryChecker::check_policy(const DirEntry& e) {
  const auto& list = scan_.directories.encrypted;
  const auto find = [&](InodeNo ino) {
    const auto it = std::ranges::lower_bound(list, ino, {}, &EncryptedInode::inode);
    return it != list.end() && it->inode == ino ? &*it : nullptr;
  };
  const uint8_t type = scan_.links.type(e.inode);
  const EncryptedInode* file = find(e.inode);
  const EncryptedInode* own = find(directory_->inode);
  if (!file) {
    if (type == EXT2_FT_REG_FILE || type == EXT2_FT_DIR || type == EXT2_FT_SYMLINK) defect(EntryDefectKind::unencrypted, e);
  } else if (own && own->policy != 0 && file->policy != 0 && own->policy != file->policy) {
    defect(EntryDefectKind::policy, e);
  }
}

void DirectoryChecker::check_duplicate(const DirEntry& e, std::optional<uint32_t> hash) {
  const bool folded = directory_->is(Directory::casefold) && !directory_->is(Directory::encrypted);
  if (!hash && folded) hash = hasher_.folded_hash(EXT2_HASH_HALF_MD4, e.name);
  if (!hash) hash = crc32c(~0u, std::as_bytes(std::span(e.name)));
  const auto same = [&](std::string_view a, std::string_view b) { return folded ? hasher_.same_folded(a, b) : a == b; };
  if (!names_.insert(e.name, *hash, same)) defect(EntryDefectKind::duplicate, e);
  if (!directory_->is(Directory::indexed) && directory_->blocks > 1) fingerprints.push_back({index_, *hash});
}

void DirectoryChecker::take_reference(const DirEntry& e) {
  if (directory_->inode.value == EXT2_ROOT_INO && e.name == "lost+found") lost_found = e.inode;
  if (scan_.links.type(e.inode) != EXT2_FT_DIR) {
    if (!scan_.links.take_link(e.inode)) excess.push_back(e.inode);
    return;
  }
  DirectoryTable& table = scan_.directories;
  const uint32_t child = table.find(e.inode);
  if (child == table.directories.size()) return;
  uint32_t none = 0;
  if (!std::atomic_ref(table.directories[child].parent)
           .compare_exchange_strong(none, directory_->inode.value, std::memory_order_relaxed))
    extra_links.push_back({e.inode, directory_->inode});
}

size_t DirectoryChecker::check_tail(Bytes block) {
  EntryDefect d;
  const auto found = leaf_tail(block);
  if (!found) {
    sink_.entry(fill(d, EntryDefectKind::tail_missing));
    return block.size();
  }
  d.expected = leaf_checksum(seed(), block);
  d.found = *found;
  if (d.expected != d.found) sink_.entry(fill(d, EntryDefectKind::checksum));
  return block.size() - kDirTail;
}

// Whether the block is the root or a node of the index.
bool DirectoryChecker::take_node(Bytes block) {
  if (logical_ != 0 && !looks_like_node(g_, block)) return false;
  Directory& d = *directory_;
  const bool siphash = d.is(Directory::encrypted) && d.is(Directory::casefold);
  HtreeNode node = parse_htree_node(g_, block, logical_, d.blocks, g_.metadata_csum() ? seed() : 0, siphash);
  for (const HtreeDefect& defect : node.defects) sink_.index(d.inode, defect);
  ranges_.kinds[d.first_range + logical_] = HashRange::node;
  if (node.entries.empty()) return true;
  if (logical_ == 0) d.hash_version = node.version;
  nodes.push_back({index_, logical_, node.levels, std::move(node.entries)});
  return true;
}

// Fills hashes_ for entries_, which lie in `area`.
void DirectoryChecker::hash_entries(Bytes area, unsigned version) {
  hashes_.assign(entries_.size(), std::nullopt);
  if (directory_->is(Directory::casefold)) {
    for (size_t i = 0; i < entries_.size(); ++i) hashes_[i] = folded_hash_of(entries_[i], area, version);
    return;
  }
  if (version > EXT2_HASH_TEA) return;
  names_to_hash_.clear();
  for (const DirEntry& e : entries_) names_to_hash_.push_back(e.name);
  plain_hashes_.resize(entries_.size());
  hasher_.hash_all(version, names_to_hash_, reinterpret_cast<const char*>(area.data() + area.size()), plain_hashes_);
  std::ranges::copy(plain_hashes_, hashes_.begin());
}

std::optional<uint32_t> DirectoryChecker::folded_hash_of(const DirEntry& e, Bytes area, unsigned version) const {
  if (!directory_->is(Directory::encrypted)) return hasher_.folded_hash(version, e.name);
  const size_t at = (kEntryHeader + e.name.size() + 3) / 4 * 4;
  if (at + sizeof(uint32_t) > e.rec_len) return std::nullopt;
  return load<uint32_t>(area, e.offset + at);
}

void DirectoryChecker::take_hash(uint32_t hash) {
  range_.low = std::min(range_.low, hash);
  range_.high = std::max(range_.high, hash);
}

unsigned DirectoryChecker::assumed_version() const { return default_hash_version(fs_.super); }

void DirectoryChecker::store_range() {
  const size_t at = size_t{directory_->first_range} + logical_;
  ranges_.kinds[at] = HashRange::leaf;
  ranges_.ranges[at] = range_;
}

EntryDefect& DirectoryChecker::fill(EntryDefect& d, EntryDefectKind kind) const {
  d.kind = kind;
  d.directory = directory_->inode;
  d.block = block_;
  d.logical = logical_;
  return d;
}

void DirectoryChecker::defect(EntryDefectKind kind, const DirEntry& e, uint64_t expected, uint64_t found) {
  EntryDefect d;
  d.offset = e.offset;
  d.target = e.inode;
  d.name = e.name;
  d.expected = expected;
  d.found = found;
  sink_.entry(fill(d, kind));
}

void DirectoryChecker::mark_incomplete() {
  std::atomic_ref(directory_->flags).fetch_or(Directory::incomplete, std::memory_order_relaxed);
}

uint32_t DirectoryChecker::seed() const { return inode_seed(g_, directory_->inode, directory_->generation); }

}  // namespace extscrub
