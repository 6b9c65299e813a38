#include "audit/recover/orphans.h"

#include <algorithm>
#include <map>
#include <optional>
#include <unordered_set>

#include "audit/recover/quota_usage.h"
#include "audit/stage/group_editor.h"
#include "audit/stage/map_cut.h"
#include "audit/stage/primary_superblock.h"
#include "scan/attribute/xattr.h"
#include "scan/filesystem/inode_table.h"
#include "scan/filesystem/table_search.h"
#include "scan/format/checksum.h"
#include "scan/inodes/orphans.h"

namespace extscrub {

namespace {

// All that a map uses.
class Everything : public RunSink {
 public:
  void data(const Run& run, bool) override { runs.push_back(run); }
  void node(BlockNo block) override { runs.push_back({0, block, 1, false}); }
  std::vector<Run> runs;
};

bool sound(const BlockMap& map) {
  return map.whole && std::ranges::all_of(map.defects, [](const MapDefect& d) { return d.kind == MapDefectKind::checksum; });
}

struct OrphanFile {
  InodeNo inode;
  uint32_t generation = 0;
  std::vector<BlockNo> blocks;
};

// The file as the superblock names it; nothing, with a defect, when it is not what it has to be.
std::optional<OrphanFile> open_orphan_file(const FileSystem& fs, std::vector<OrphanDefect>& defects) {
  const InodeNo ino(fs.super.s_orphan_file_inum);
  std::vector<std::byte> raw(fs.geometry.inode_size);
  if (fs.geometry.valid_inode(ino) && read_inode(fs, ino, raw)) {
    const Inode inode(fs.geometry, ino, raw);
    OrphanFileFacts facts = read_orphan_file(fs, inode);
    if (facts.whole && facts.blocks.size() * fs.geometry.block_size == inode.size())
      return OrphanFile{ino, inode.base().i_generation, std::move(facts.blocks)};
  }
  defects.push_back({OrphanDefectKind::file_inode, ino, {}, 0, 0});
  return {};
}

bool check_orphan_block(const FileSystem& fs, const OrphanFile& file, BlockNo at, Bytes block,
                        std::vector<OrphanDefect>& defects) {
  const OrphanBlockState state = orphan_block_state(fs.geometry, file.inode, file.generation, at, block);
  if (state == OrphanBlockState::sound) return true;
  const bool magic = state == OrphanBlockState::magic;
  defects.push_back({magic ? OrphanDefectKind::file_block : OrphanDefectKind::file_checksum, file.inode, at, 0, 0});
  return false;
}

class Release {
 public:
  Release(const FileSystem& fs, Overlay& overlay)
      : fs_(fs), overlay_(overlay), groups_(fs, overlay), quota_(fs.geometry), walker_(fs) {
    // A time that does not depend on when the audit runs.
    now_ = std::max(fs.super.s_wtime, fs.geometry.inodes + 1);
  }

  Result<OrphanFacts> run() {
    // Without an orphan file the mark means nothing; it stays, for the rules to see.
    const bool has_file = fs_.geometry.has_compat(EXT4_FEATURE_COMPAT_ORPHAN_FILE);
    const bool marked = has_file && fs_.geometry.has_ro_compat(EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT);
    // The kernel does not trust the list of a file system that carries the error mark.
    if (fs_.super.s_state & EXT2_ERROR_FS || !fs_.primary_problem.empty()) return facts_;
    if (auto r = release_list(); !r) return std::unexpected(r.error());
    if (has_file)
      if (auto r = release_file(); !r) return std::unexpected(r.error());
    facts_.processed = facts_.listed > 0;
    if (!facts_.processed && !marked) return facts_;
    if (auto r = groups_.finish(); !r) return std::unexpected(r.error());
    if (auto r = quota_.stage(fs_, overlay_); !r) return std::unexpected(r.error());
    auto r = edit_primary_superblock(overlay_, [&](ext2_super_block& s) {
      s.s_last_orphan = 0;
      s.s_state &= static_cast<uint16_t>(~EXT3_ORPHAN_FS);
      if (has_file) s.s_feature_ro_compat &= ~uint32_t{EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT};
    });
    if (!r) return std::unexpected(r.error());
    return facts_;
  }

 private:
  void defect(OrphanDefectKind kind, InodeNo ino, BlockNo block = {}) { facts_.defects.push_back({kind, ino, block, 0, 0}); }

  // The chain through i_dtime. What is wrong ends it, as it ends it for the kernel.
  Result<void> release_list() {
    InodeNo ino(fs_.super.s_last_orphan);
    while (ino) {
      ++facts_.listed;
      if (!may_be_orphan(ino)) return {};
      auto raw = edit_inode(fs_, overlay_, ino);
      if (!raw) return std::unexpected(raw.error());
      const InodeNo next(load<uint32_t>(*raw, offsetof(ext2_inode, i_dtime)));
      auto released = release(ino, *raw);
      if (!released) return std::unexpected(released.error());
      if (!*released) return {};
      ino = next;
    }
    return {};
  }

  Result<void> release_file() {
    const auto file = open_orphan_file(fs_, facts_.defects);
    if (!file) return {};
    for (const BlockNo at : file->blocks)
      if (auto r = release_file_block(*file, at); !r) return r;
    return {};
  }

  Result<void> release_file_block(const OrphanFile& file, BlockNo at) {
    std::vector<std::byte> block(fs_.geometry.block_size);
    if (auto r = overlay_.read(at, block); !r) return r;
    if (!check_orphan_block(fs_, file, at, block, facts_.defects)) return {};
    bool changed = false;
    for (size_t i = 0; i < block.size() - kOrphanTail; i += sizeof(uint32_t)) {
      const InodeNo ino(load<uint32_t>(block, i));
      if (!ino) continue;
      ++facts_.listed;
      changed = true;
      store(MutableBytes(block), i, uint32_t{0});
      if (!may_be_orphan(ino)) continue;
      auto raw = edit_inode(fs_, overlay_, ino);
      if (!raw) return std::unexpected(raw.error());
      if (auto r = release(ino, *raw); !r) return std::unexpected(r.error());
    }
    if (!changed) return {};
    auto staged = overlay_.edit(at);
    if (!staged) return std::unexpected(staged.error());
    std::ranges::copy(block, staged->begin());
    seal_orphan_block(fs_.geometry, file.inode, file.generation, at, *staged);
    return {};
  }

  bool may_be_orphan(InodeNo ino) {
    const Geometry& g = fs_.geometry;
    auto kind = OrphanDefectKind::out_of_range;
    if (g.valid_inode(ino) && ino.value >= g.first_inode) {
      const GroupNo group = g.group_of(ino);
      if (!seen_.insert(ino.value).second)
        kind = OrphanDefectKind::loop;
      else if (!has_table(group))
        kind = OrphanDefectKind::metadata;
      else if (!groups_.in_use(ino))
        kind = OrphanDefectKind::not_in_use;
      else
        return true;
    }
    defect(kind, ino);
    return false;
  }

  // Without checksums an inode does not tell that it is one, and may be a file's data.
  bool has_table(GroupNo group) {
    const Geometry& g = fs_.geometry;
    const GroupDesc& d = fs_.groups[group.value];
    if (!valid_location(g, group, d.inode_table, g.itable_blocks)) return false;
    if (g.metadata_csum()) return true;
    const uint32_t unused = g.group_csum() && d.checksum_ok ? std::min(d.itable_unused, g.inodes_per_group) : 0;
    const auto [it, fresh] = has_inodes_.try_emplace(group);
    if (fresh)
      it->second = unused == g.inodes_per_group || !holds_no_inodes(fs_, group, d.inode_table, g.inodes_per_group - unused);
    return it->second;
  }

  // Deletes or cuts; false when it could not be done, with a defect.
  Result<bool> release(InodeNo ino, MutableBytes raw) {
    const Inode inode(fs_.geometry, ino, raw);
    // The kernel does not take it either.
    if (!fits_inode_checksum(fs_.geometry, ino, raw)) {
      defect(OrphanDefectKind::unsealed, ino);
      return false;
    }
    if (inode.type() == FileType::none || inode.type() == FileType::unknown) {
      defect(OrphanDefectKind::no_file, ino);
      return false;
    }
    Everything used;
    if (inode.has_block_map() && !sound(walker_.walk(inode, used))) {
      defect(OrphanDefectKind::dangerous, ino);
      return false;
    }
    auto done = inode.base().i_links_count == 0 ? remove(inode, raw, used.runs) : truncate(inode, raw);
    if (done && !*done) defect(OrphanDefectKind::metadata, ino);
    return done;
  }

  Result<bool> free_runs(const std::vector<Run>& runs) {
    bool whole = true;
    for (const Run& run : runs) {
      auto freed = groups_.free_blocks(run.physical, run.count);
      if (!freed) return freed;
      whole = whole && *freed;
    }
    return whole;
  }

  Result<bool> remove(const Inode& inode, MutableBytes raw, const std::vector<Run>& runs) {
    const InodeNo ino = inode.number();
    const FileType type = inode.type();
    quota_.subtract(inode, inode.counts_in_blocks() ? inode.blocks512() * fs_.geometry.block_size : inode.blocks512() * 512, 1);
    if (auto r = drop_attributes(inode); !r) return r;
    auto whole = free_runs(runs);
    if (!whole) return whole;
    clear_deleted(inode, raw);
    auto freed = groups_.free_inode(ino, type == FileType::directory);
    if (!freed) return freed;
    ++facts_.deleted;
    return *whole && *freed;
  }

  // What a deletion leaves of the inode: its mode, no size, no blocks, the time.
  void clear_deleted(const Inode& inode, MutableBytes raw) const {
    const bool mapped = inode.has_block_map() && inode.type() != FileType::none;
    auto base = load<ext2_inode>(raw);
    base.i_dtime = now_;
    base.i_file_acl = 0;
    base.osd2.linux2.l_i_file_acl_high = 0;
    if (mapped) {
      const bool extents = inode.uses_extents();
      std::ranges::fill(base.i_block, 0);
      base.i_size = base.i_size_high = 0;
      base.i_blocks = 0;
      base.osd2.linux2.l_i_blocks_hi = 0;
      if (extents) {
        const ext3_extent_header header{EXT3_EXT_MAGIC, 0, 4, 0, 0};
        std::memcpy(base.i_block, &header, sizeof header);
      }
    }
    store(raw, 0, base);
    seal_inode(fs_.geometry, inode.number(), raw);
  }

  Result<bool> truncate(const Inode& inode, MutableBytes raw) {
    const Geometry& g = fs_.geometry;
    const InodeNo ino = inode.number();
    bool whole = true;
    if (inode.has_block_map() &&
        (inode.type() == FileType::regular || inode.type() == FileType::directory || inode.type() == FileType::symlink)) {
      auto cut = cut_map(fs_, overlay_, ino, raw, (inode.size() + g.block_size - 1) / g.block_size);
      if (!cut) return std::unexpected(cut.error());
      auto freed = free_runs(cut->freed);
      if (!freed) return freed;
      whole = *freed;
      const uint64_t bytes = cut->clusters << g.cluster_bits << g.block_bits;
      const uint64_t unit = inode.counts_in_blocks() ? g.block_size : 512;
      const uint64_t blocks = inode.blocks512() - std::min(inode.blocks512(), bytes / unit);
      quota_.subtract(inode, bytes, 0);
      store(raw, offsetof(ext2_inode, i_blocks), static_cast<uint32_t>(blocks));
      if (g.has_ro_compat(EXT4_FEATURE_RO_COMPAT_HUGE_FILE))
        store(raw, offsetof(ext2_inode, osd2.linux2.l_i_blocks_hi), static_cast<uint16_t>(blocks >> 32));
    }
    store(raw, offsetof(ext2_inode, i_dtime), uint32_t{0});
    seal_inode(g, ino, raw);
    ++facts_.truncated;
    return whole;
  }

  // The attribute block loses a reference, or goes; so do the inodes that hold large values.
  Result<bool> drop_attributes(const Inode& inode) {
    if (fs_.geometry.has_incompat(EXT4_FEATURE_INCOMPAT_EA_INODE))
      if (auto r = drop_values(inode, inode_ea_entries(fs_.geometry, inode), true); !r) return r;
    const BlockNo at = inode.ea_block();
    if (!at || !fs_.geometry.contains(at)) return true;
    auto block = overlay_.edit(at);
    if (!block) return std::unexpected(block.error());
    auto header = load<ext2_ext_attr_header>(*block);
    if (header.h_magic != EXT2_EXT_ATTR_MAGIC) return true;
    const bool last = header.h_refcount <= 1;
    if (fs_.geometry.has_incompat(EXT4_FEATURE_INCOMPAT_EA_INODE))
      if (auto r = drop_values(inode, block_ea_entries(*block), last); !r) return r;
    if (last) return groups_.free_blocks(at, 1);
    --header.h_refcount;
    store(*block, 0, header);
    if (fs_.geometry.metadata_csum())
      store(*block, offsetof(ext2_ext_attr_header, h_checksum), ea_block_checksum(fs_.geometry, at, *block));
    return true;
  }

  // `referenced`: the references go too, not only the owner's quota.
  Result<bool> drop_values(const Inode& owner, const std::vector<EaEntry>& entries, bool referenced) {
    const uint64_t cluster = uint64_t{fs_.geometry.block_size} << fs_.geometry.cluster_bits;
    for (const EaEntry& e : entries) {
      if (!e.value_inode || !fs_.geometry.valid_inode(e.value_inode)) continue;
      quota_.subtract(owner, (e.value_size + cluster - 1) / cluster * cluster, 1);
      if (!referenced) continue;
      if (auto r = drop_value(e.value_inode); !r) return r;
    }
    return true;
  }

  // The count of references lies in i_ctime (high half) and the version (low half).
  Result<bool> drop_value(InodeNo ino) {
    auto raw = edit_inode(fs_, overlay_, ino);
    if (!raw) return std::unexpected(raw.error());
    auto base = load<ext2_inode>(*raw);
    const uint64_t references = uint64_t{base.i_ctime} << 32 | base.osd1.linux1.l_i_version;
    if (!(base.i_flags & EXT4_EA_INODE_FL) || references == 0) return true;
    const uint64_t left = references - 1;
    base.i_ctime = static_cast<uint32_t>(left >> 32);
    base.osd1.linux1.l_i_version = static_cast<uint32_t>(left);
    if (left == 0) base.i_links_count = 0;
    store(*raw, 0, base);
    seal_inode(fs_.geometry, ino, *raw);
    if (left > 0) return true;
    const Inode inode(fs_.geometry, ino, *raw);
    Everything used;
    if (!inode.has_block_map() || !sound(walker_.walk(inode, used))) return true;
    if (auto r = free_runs(used.runs); !r) return r;
    clear_deleted(inode, *raw);
    return groups_.free_inode(ino, false);
  }

  const FileSystem& fs_;
  Overlay& overlay_;
  GroupEditor groups_;
  QuotaRelease quota_;
  MapWalker walker_;
  OrphanFacts facts_;
  std::unordered_set<uint32_t> seen_;
  std::map<GroupNo, bool> has_inodes_;  // groups' tables that were looked at
  uint32_t now_ = 0;
};

}  // namespace

Result<OrphanFacts> release_orphans(const FileSystem& fs, Overlay& overlay) { return Release(fs, overlay).run(); }

std::vector<OrphanDefect> check_orphan_file(const FileSystem& fs) {
  std::vector<OrphanDefect> defects;
  if (!fs.geometry.has_compat(EXT4_FEATURE_COMPAT_ORPHAN_FILE)) return defects;
  if (!fs.geometry.has_compat(EXT3_FEATURE_COMPAT_HAS_JOURNAL)) {
    defects.push_back({OrphanDefectKind::no_journal, InodeNo(fs.super.s_orphan_file_inum), {}, 0, 0});
    return defects;
  }
  const auto file = open_orphan_file(fs, defects);
  std::vector<std::byte> block(fs.geometry.block_size);
  for (size_t i = 0; file && i < file->blocks.size(); ++i)
    if (fs.blocks->read(file->blocks[i], block)) check_orphan_block(fs, *file, file->blocks[i], block, defects);
  return defects;
}

}  // namespace extscrub
