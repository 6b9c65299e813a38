// The orphan list and the orphan file, where the release before the audit could not follow them.
#include <algorithm>
#include <set>

#include "audit/edit/inode_edit.h"
#include "audit/repair/repair.h"
#include "audit/stage/primary_superblock.h"
#include "scan/format/checksum.h"
#include "scan/inodes/orphans.h"

namespace extscrub {

namespace {

// Inodes on a list that nobody follows: what is left of the list in them must not look like a time of deletion. One that
// still has links gets its i_dtime cleared as any inode in use.
Result<void> forget_list(RepairRound& round, InodeNo first) {
  const Geometry& g = round.geometry();
  std::set<InodeNo> seen;
  std::vector<std::byte> raw(g.inode_size);
  for (InodeNo ino = first; ino.value >= g.first_inode && g.valid_inode(ino) && seen.insert(ino).second;) {
    if (!read_inode(round.fs(), ino, raw)) break;
    // It may be no inode at all.
    if (!fits_inode_checksum(g, ino, raw)) break;
    const auto base = load<ext2_inode>(raw);
    if (base.i_links_count == 0 && base.i_mode != 0)
      if (auto r = change_inode_base(round, ino, [&](ext2_inode& b) { b.i_dtime = round.now; }); !r) return r;
    ino = InodeNo(base.i_dtime);
  }
  return edit_primary_superblock(round.overlay, [](ext2_super_block& s) {
    s.s_last_orphan = 0;
    s.s_state &= static_cast<uint16_t>(~EXT3_ORPHAN_FS);
  });
}

// The release has cut the list already, unless the file system carries the error mark, with which nobody trusts the list.
Result<size_t> repair_list(RepairRound& round) {
  size_t answered = 0;
  const bool distrusted = round.fs().super.s_state & EXT2_ERROR_FS;
  for (const Problem problem : {Problem::orphan_list, Problem::orphans_to_release}) {
    if ((problem == Problem::orphans_to_release && !distrusted) || round.policy == RepairPolicy::none) continue;
    for (Finding& f : round.findings.of(problem)) {
      if (answered == 0)
        if (auto r = forget_list(round, InodeNo(round.fs().super.s_last_orphan)); !r) return std::unexpected(r.error());
      // Where the release stopped, the number of the next inode was left behind.
      if (problem == Problem::orphan_list && f.inode && round.geometry().valid_inode(*f.inode))
        if (auto r = forget_list(round, *f.inode); !r) return std::unexpected(r.error());
      f.repair = RepairState::staged;
      ++answered;
    }
  }
  if (answered > 0) round.stale = true;
  return answered;
}

Result<bool> drop_feature(RepairRound& round, InodeNo ino) {
  const Geometry& g = round.geometry();
  // Without a name it was the file system's own: nothing of it is wanted.
  if (g.valid_inode(ino) && ino.value >= g.first_inode && !has_name(round, ino)) {
    auto r = change_inode_base(round, ino, [&](ext2_inode& base) {
      base.i_links_count = 0;
      base.i_dtime = round.now;
    });
    if (!r) return std::unexpected(r.error());
  }
  auto r = edit_primary_superblock(round.overlay, [](ext2_super_block& s) {
    s.s_feature_compat &= ~uint32_t{EXT4_FEATURE_COMPAT_ORPHAN_FILE};
    s.s_feature_ro_compat &= ~uint32_t{EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT};
    s.s_orphan_file_inum = 0;
  });
  if (!r) return std::unexpected(r.error());
  return true;
}

// Where the superblock names something else, the orphan file is what has no name and all its marks.
Result<size_t> name_lost_file(RepairRound& round) {
  if (!round.geometry().has_compat(EXT4_FEATURE_COMPAT_ORPHAN_FILE) || find_orphan_file(round.fs())) return 0;
  const auto unattached = round.findings.of(Problem::inode_unattached);
  const auto lost = [&](const Finding& f) { return f.inode && round.may(f.problem) && is_orphan_file(round.fs(), *f.inode); };
  const auto found = std::ranges::find_if(unattached, lost);
  if (found == unattached.end() || std::ranges::count_if(unattached, lost) > 1) return 0;
  auto r = edit_primary_superblock(round.overlay, [&](ext2_super_block& s) { s.s_orphan_file_inum = (*found).inode->value; });
  if (!r) return std::unexpected(r.error());
  (*found).repair = RepairState::staged;
  round.stale = true;
  return 1;
}

Result<bool> repair_file(RepairRound& round) {
  const FileSystem& fs = round.fs();
  const Geometry& g = fs.geometry;
  const InodeNo ino(fs.super.s_orphan_file_inum);
  round.stale = true;
  std::vector<std::byte> raw(g.inode_size);
  const bool journal = g.has_compat(EXT3_FEATURE_COMPAT_HAS_JOURNAL);
  if (!journal || !g.valid_inode(ino) || ino.value < g.first_inode || has_name(round, ino) || !read_inode(fs, ino, raw))
    return drop_feature(round, ino);
  // Seen as the regular file that it should be.
  auto base = load<ext2_inode>(raw);
  base.i_mode = kHiddenFileMode;
  if (base.i_links_count == 0) return drop_feature(round, ino);
  base.i_dtime = 0;
  base.i_flags &= ~uint32_t{EXT4_INLINE_DATA_FL | EXT4_ENCRYPT_FL | EXT4_EA_INODE_FL | EXT2_INDEX_FL};
  store(MutableBytes(raw), 0, base);
  const OrphanFileFacts facts = read_orphan_file(fs, Inode(g, ino, raw));
  const bool usable =
      facts.whole && !facts.blocks.empty() && std::ranges::none_of(facts.blocks, [&](BlockNo b) { return is_shared(round, b); });
  if (!usable) return drop_feature(round, ino);
  const uint64_t size = facts.blocks.size() * uint64_t{g.block_size};
  base.i_size = static_cast<uint32_t>(size);
  base.i_size_high = static_cast<uint32_t>(size >> 32);
  if (auto r = change_inode_base(round, ino, [&](ext2_inode& b) { b = base; }); !r) return std::unexpected(r.error());
  for (const BlockNo at : facts.blocks) {
    auto block = round.overlay.edit(at);
    if (!block) return std::unexpected(block.error());
    if (orphan_block_state(g, ino, base.i_generation, at, *block) == OrphanBlockState::sound) continue;
    std::ranges::fill(*block, std::byte{0});
    seal_orphan_block(g, ino, base.i_generation, at, *block);
  }
  return true;
}

}  // namespace

Result<size_t> repair_orphans(RepairRound& round) {
  auto answered = repair_list(round);
  if (!answered) return answered;
  const auto named = name_lost_file(round);
  if (!named || *named > 0) return named ? Result<size_t>(*answered + *named) : named;
  bool mended = false;
  for (Finding& f : round.findings.of(Problem::orphan_file)) {
    if (!round.may(f.problem)) continue;
    if (!mended) {
      auto r = repair_file(round);
      if (!r) return std::unexpected(r.error());
      mended = true;
    }
    f.repair = RepairState::staged;
    ++*answered;
  }
  return answered;
}

}  // namespace extscrub
