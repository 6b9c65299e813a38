#include "audit/edit/quota_writer.h"

#include <algorithm>
#include <cstring>

#include "audit/edit/inode_edit.h"
#include "audit/stage/map_builder.h"
#include "scan/map/file_reader.h"

namespace extscrub {

namespace {

using Buffer = std::array<std::byte, kQuotaBlock>;

constexpr uint32_t kIdsPerNode = kQuotaBlock / sizeof(uint32_t);
constexpr uint32_t kMostQuotaBlocks = kQuotaSizeMax / kQuotaBlock;
constexpr uint32_t kEntriesPerBlock = (kQuotaBlock - sizeof(QuotaBlockHeader)) / sizeof(QuotaEntryR1);

QuotaEntryR1 widen(const QuotaEntryR0& e) {
  return {e.id, 0, e.inode_hard, e.inode_soft, e.inodes, e.block_hard, e.block_soft, e.space, e.block_time, e.inode_time};
}

bool is_zero(Bytes bytes) {
  return std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; });
}

class ContentsReader {
 public:
  ContentsReader(FileReader& file, QuotaType type, uint64_t size) : file_(file), type_(type) {
    blocks_ = static_cast<uint32_t>(std::min<uint64_t>((size + kQuotaBlock - 1) / kQuotaBlock, kMostQuotaBlocks));
  }

  QuotaContents read() {
    Buffer buffer;
    if (blocks_ <= kQuotaRoot || !load_block(0, buffer)) return {};
    const auto header = load<QuotaHeader>(buffer);
    version_ = header.version;
    const bool ours = header.magic == kQuotaMagics[static_cast<size_t>(type_)] && version_ <= 1;
    if (ours && header.block_grace) contents_.block_grace = header.block_grace;
    if (ours && header.inode_grace) contents_.inode_grace = header.inode_grace;
    if (!ours) version_ = 1;
    visited_.assign(blocks_, false);
    visited_[0] = true;
    if (ours) walk(kQuotaRoot, 0, 0);
    // What no way leads to, in blocks whose header and entries agree.
    for (uint32_t block = kQuotaRoot; block < blocks_; ++block)
      if (!visited_[block] && load_block(block, buffer)) take_entries(buffer, true);
    return std::move(contents_);
  }

 private:
  bool load_block(uint32_t block, Buffer& buffer) { return file_.read(uint64_t{block} * kQuotaBlock, buffer).has_value(); }

  void walk(uint32_t block, unsigned depth, uint32_t prefix) {
    if (visited_[block]) return;
    Buffer buffer;
    if (!load_block(block, buffer)) return;
    visited_[block] = true;
    for (uint32_t i = 0; i < kIdsPerNode; ++i) {
      const auto child = load<uint32_t>(buffer, i * sizeof(uint32_t));
      if (child == 0 || child >= blocks_ || visited_[child]) continue;
      if (depth + 1 < kQuotaDepth) {
        walk(child, depth + 1, prefix | i << (8 * (kQuotaDepth - 1 - depth)));
      } else if (Buffer entries; load_block(child, entries)) {
        // One that does not hold what it was looked up for may be anything: it is judged by itself later.
        if (!take_entries(entries, false, prefix | i)) continue;
        visited_[child] = true;
      }
    }
  }

  // `doubted`: only of a block that looks like one of entries. Else only of one that holds `wanted`.
  bool take_entries(const Buffer& buffer, bool doubted, uint32_t wanted = 0) {
    const auto header = load<QuotaBlockHeader>(buffer);
    const size_t size = version_ == 0 ? sizeof(QuotaEntryR0) : sizeof(QuotaEntryR1);
    std::vector<QuotaEntryR1> found;
    for (size_t at = sizeof header; at + size <= kQuotaBlock; at += size) {
      const Bytes raw = Bytes(buffer).subspan(at, size);
      if (is_zero(raw)) continue;
      found.push_back(version_ == 0 ? widen(load<QuotaEntryR0>(raw)) : load<QuotaEntryR1>(raw));
      if (doubted && version_ == 1 && found.back().pad != 0) return false;
    }
    if (doubted && (header.entries != found.size() || found.empty() || header.pad1 != 0 || header.pad2 != 0 ||
                    header.next_free >= blocks_ || header.prev_free >= blocks_))
      return false;
    if (!doubted && std::ranges::find(found, wanted, &QuotaEntryR1::id) == found.end()) return false;
    for (const QuotaEntryR1& e : found) contents_.entries.try_emplace(e.id, e);
    return true;
  }

  FileReader& file_;
  QuotaType type_;
  uint32_t blocks_ = 0, version_ = 1;
  std::vector<bool> visited_;
  QuotaContents contents_;
};

// Grows block by block.
class FileBuilder {
 public:
  // Blocks 0 and 1: the header and the root.
  FileBuilder() : bytes_(2 * kQuotaBlock) {}

  bool add(const QuotaEntryR1& entry) {
    if (in_block_ == 0 || in_block_ == kEntriesPerBlock) {
      entries_ = append();
      in_block_ = 0;
    }
    uint32_t node = kQuotaRoot;
    for (int level = kQuotaDepth - 1; level >= 0; --level) {
      const size_t slot = size_t{node} * kQuotaBlock + (entry.id >> (8 * level) & 0xFF) * sizeof(uint32_t);
      auto child = load<uint32_t>(bytes_, slot);
      if (child == 0) {
        child = level == 0 ? entries_ : append();
        store(MutableBytes(bytes_), slot, child);
      }
      node = child;
    }
    const size_t at = size_t{entries_} * kQuotaBlock;
    store(MutableBytes(bytes_), at + sizeof(QuotaBlockHeader) + in_block_ * sizeof entry, entry);
    QuotaBlockHeader header{};
    header.entries = static_cast<uint16_t>(++in_block_);
    store(MutableBytes(bytes_), at, header);
    return blocks() < kMostQuotaBlocks;
  }

  std::vector<std::byte> finish(QuotaType type, const QuotaContents& contents) {
    QuotaHeader header{};
    header.magic = kQuotaMagics[static_cast<size_t>(type)];
    header.version = 1;
    header.block_grace = contents.block_grace;
    header.inode_grace = contents.inode_grace;
    header.blocks = blocks();
    // The list of blocks with room has the last one, or nothing.
    if (in_block_ > 0 && in_block_ < kEntriesPerBlock) header.free_entry = entries_;
    store(MutableBytes(bytes_), 0, header);
    return std::move(bytes_);
  }

 private:
  [[nodiscard]] uint32_t blocks() const { return static_cast<uint32_t>(bytes_.size() / kQuotaBlock); }
  uint32_t append() {
    bytes_.resize(bytes_.size() + kQuotaBlock);
    return blocks() - 1;
  }

  std::vector<std::byte> bytes_;
  uint32_t entries_ = 0, in_block_ = 0;
};

// A new file's inode, empty.
void make_quota_inode(const RepairRound& round, InodeNo ino, MutableBytes raw) {
  const Geometry& g = round.geometry();
  std::ranges::fill(raw, std::byte{0});
  ext2_inode base{};
  base.i_mode = kHiddenFileMode;
  base.i_links_count = 1;
  base.i_atime = base.i_ctime = base.i_mtime = round.now;
  base.i_flags = EXT2_IMMUTABLE_FL;
  if (g.extents()) base.i_flags |= EXT4_EXTENTS_FL;
  store(raw, 0, base);
  if (g.inode_size > EXT2_GOOD_OLD_INODE_SIZE) {
    const size_t extra = std::min<size_t>(sizeof(ext2_inode_large), g.inode_size) - EXT2_GOOD_OLD_INODE_SIZE;
    store(raw, offsetof(ext2_inode_large, i_extra_isize), static_cast<uint16_t>(extra / 4 * 4));
  }
  seal_inode(g, ino, raw);
}

// What the inode has and may be used again.
struct OldFile {
  bool usable = false;
  RunList map;
};

OldFile take_old(const RepairRound& round, const Inode& inode) {
  OldFile old;
  constexpr uint32_t kOtherForms = EXT4_INLINE_DATA_FL | EXT4_ENCRYPT_FL | EXT4_EA_INODE_FL | EXT4_VERITY_FL;
  if (inode.type() != FileType::regular || inode.base().i_links_count == 0 || inode.is(kOtherForms) || !inode.has_block_map())
    return old;
  MapWalker walker(round.fs());
  const BlockMap& map = walker.walk(inode, old.map);
  const auto own = [&](const Run& run) {
    for (uint32_t i = 0; i < run.count; ++i)
      if (is_shared(round, run.physical + i)) return false;
    return true;
  };
  old.usable = map.whole && map.defects.empty() && std::ranges::all_of(old.map.runs, own) &&
               std::ranges::none_of(old.map.nodes, [&](BlockNo b) { return is_shared(round, b); });
  return old;
}

// Runs for `wanted` blocks of a file: the begin of what there is, then free clusters. Empty: there is no space.
std::vector<Run> find_runs(RepairRound& round, const std::vector<Run>& old, uint64_t wanted, BlockNo goal) {
  std::vector<Run> runs;
  uint64_t have = 0;
  for (const Run& run : old) {
    if (run.logical != have || run.unwritten || have == wanted) break;
    const auto count = static_cast<uint32_t>(std::min<uint64_t>(run.count, wanted - have));
    runs.push_back({run.logical, run.physical, count, false});
    have += count;
  }
  const uint64_t cluster = uint64_t{1} << round.geometry().cluster_bits;
  // The rest of the cluster that the last block lies in is the file's already.
  if (const uint64_t rest = std::min((cluster - have % cluster) % cluster, wanted - have); rest > 0 && !runs.empty()) {
    runs.back().count += static_cast<uint32_t>(rest);
    have += rest;
  }
  while (have < wanted) {
    if (!runs.empty()) goal = runs.back().physical + runs.back().count;
    const auto at = round.blocks.allocate(goal);
    if (!at) return {};
    const auto count = static_cast<uint32_t>(std::min(cluster, wanted - have));
    runs.push_back({have, *at, count, false});
    have += count;
  }
  return runs;
}

Result<void> write_bytes(Overlay& overlay, const std::vector<Run>& runs, Bytes bytes) {
  const size_t size = overlay.block_size();
  for (const Run& run : runs)
    for (uint32_t i = 0; i < run.count; ++i) {
      auto block = overlay.edit(run.physical + i);
      if (!block) return std::unexpected(block.error());
      const Bytes part = bytes.subspan(std::min(bytes.size(), (run.logical + i) * size));
      std::ranges::fill(*block, std::byte{0});
      std::ranges::copy(part.first(std::min(part.size(), size)), block->begin());
    }
  return {};
}

}  // namespace

QuotaContents read_quota_contents(const FileSystem& fs, QuotaType type, InodeNo ino) {
  std::vector<std::byte> raw(fs.geometry.inode_size);
  if (!fs.geometry.valid_inode(ino) || !read_inode(fs, ino, raw)) return {};
  const Inode inode(fs.geometry, ino, raw);
  if (inode.type() != FileType::regular || !inode.has_block_map()) return {};
  FileReader file(fs, inode);
  return file.empty() ? QuotaContents{} : ContentsReader(file, type, inode.size()).read();
}

void set_usage(QuotaContents& contents, const std::unordered_map<uint32_t, Usage>& usage) {
  for (auto& [id, e] : contents.entries) e.space = e.inodes = 0;
  for (const auto& [id, used] : usage) {
    QuotaEntryR1& e = contents.entries[id];
    e.id = id;
    e.space = used.space;
    e.inodes = used.inodes;
  }
  std::erase_if(contents.entries, [](const auto& entry) {
    const QuotaEntryR1& e = entry.second;
    return !(e.space || e.inodes || e.block_hard || e.block_soft || e.inode_hard || e.inode_soft);
  });
}

std::vector<std::byte> make_quota_file(QuotaType type, const QuotaContents& contents) {
  FileBuilder file;
  for (const auto& [id, entry] : contents.entries)
    if (!file.add(entry)) return {};
  return file.finish(type, contents);
}

Result<bool> store_quota_file(RepairRound& round, InodeNo ino, Bytes bytes) {
  const FileSystem& fs = round.fs();
  const Geometry& g = fs.geometry;
  std::vector<std::byte> raw(g.inode_size);
  if (auto r = read_inode(fs, ino, raw); !r) return false;
  OldFile old = take_old(round, Inode(g, ino, raw));
  if (!old.usable) {
    make_quota_inode(round, ino, raw);
    old.map = {};
  }
  const uint64_t wanted = (bytes.size() + g.block_size - 1) >> g.block_bits;
  const auto runs = find_runs(round, old.map.runs, wanted, g.group_first(g.group_of(ino)));
  if (runs.empty()) return false;
  // The numbers are those of blocks that were the file's before, or free: the map can be written again without harm.
  const auto written = write_map(fs, round.overlay, round.blocks, ino, raw, runs, old.map.nodes);
  if (!written) return std::unexpected(written.error());
  if (*written != MapWritten::written) return false;
  store(MutableBytes(raw), offsetof(ext2_inode, i_size), static_cast<uint32_t>(bytes.size()));
  store(MutableBytes(raw), offsetof(ext2_inode, i_size_high), uint32_t{0});
  seal_inode(g, ino, raw);
  auto staged = edit_inode(fs, round.overlay, ino);
  if (!staged) return std::unexpected(staged.error());
  std::ranges::copy(raw, staged->begin());
  if (auto r = write_bytes(round.overlay, runs, bytes); !r) return std::unexpected(r.error());
  round.stale = true;
  return true;
}

}  // namespace extscrub
