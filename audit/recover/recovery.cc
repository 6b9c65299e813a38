#include "audit/recover/recovery.h"

#include <algorithm>

#include "audit/recover/fast_commit_replay.h"
#include "audit/stage/primary_superblock.h"
#include "scan/load/load_file_system.h"

namespace extscrub {

namespace {

// The file system as the overlay shows it now.
Result<FileSystem> reload(const FileSystem& stored, const Overlay& overlay) {
  LoadOptions options;
  if (!stored.primary_problem.empty()) options = {stored.super_block.value, stored.geometry.block_size};
  auto fs = load_superblock(*stored.image, &overlay, options);
  if (fs) load_descriptors(*fs);
  return fs;
}

bool of_inode(JournalDefectKind kind) {
  return kind == JournalDefectKind::inode_invalid || kind == JournalDefectKind::inode_map ||
         kind == JournalDefectKind::backup_map_used;
}

// The log may hold the journal inode itself: only one that is bad behind the replay is damage.
void judge_inode_again(const FileSystem& replayed, const Image* device, JournalFacts& facts) {
  if (std::ranges::none_of(facts.defects, of_inode, &JournalDefect::kind)) return;
  std::erase_if(facts.defects, [](const JournalDefect& d) { return of_inode(d.kind); });
  const Journal again = open_journal(replayed, device);
  std::ranges::copy_if(again.facts.defects, std::back_inserter(facts.defects), of_inode, &JournalDefect::kind);
}

// A mount counts the descriptors; the superblock's totals of a file system in use are whatever they last were.
Result<void> count_anew(const FileSystem& fs, Overlay& overlay) {
  uint64_t clusters = 0, inodes = 0;
  for (const GroupDesc& group : fs.groups) {
    clusters += group.free_clusters;
    inodes += group.free_inodes;
  }
  return edit_primary_superblock(overlay, [&](ext2_super_block& s) {
    const uint64_t blocks = clusters << fs.geometry.cluster_bits;
    s.s_free_blocks_count = static_cast<uint32_t>(blocks);
    if (fs.geometry.has_incompat(EXT4_FEATURE_INCOMPAT_64BIT)) s.s_free_blocks_hi = static_cast<uint32_t>(blocks >> 32);
    s.s_free_inodes_count = static_cast<uint32_t>(inodes);
  });
}

}  // namespace

Result<Recovery> recover(const FileSystem& stored, Overlay& overlay, const RecoverySources& sources) {
  Recovery recovery;
  const Image* const device = sources.device;
  Journal journal = open_journal(stored, device, sources.unflagged);
  if (auto r = replay_journal(journal, overlay); !r) return std::unexpected(r.error());
  recovery.journal = journal.facts;
  const JournalFacts& facts = recovery.journal;
  const bool primary = stored.primary_problem.empty();
  recovery.replayed = facts.usable && (facts.needs_recovery || facts.flagged);
  if (facts.flagged && !recovery.replayed) return recovery;  // the orphans are those of before the log

  if (facts.usable && facts.error != 0 && !facts.needs_recovery)
    if (auto r = empty_journal(journal, overlay, journal.super.sequence); !r) return std::unexpected(r.error());
  if (primary && (recovery.replayed || (facts.usable && facts.error != 0))) {
    auto r = edit_primary_superblock(overlay, [&](ext2_super_block& s) {
      keep_errors(stored.super, s);
      s.s_feature_incompat &= ~uint32_t{EXT3_FEATURE_INCOMPAT_RECOVER};
      if (facts.error != 0) s.s_state |= EXT2_ERROR_FS;
    });
    if (!r) return std::unexpected(r.error());
  }
  if (stored.end) return recovery;  // what else there is to recover may need blocks that are missing
  auto fs = reload(stored, overlay);
  if (!fs) return recovery;  // what the log left is no file system; the audit will say so
  if (!journal.fast_commits.empty()) {
    if (auto r = replay_fast_commits(*fs, journal, overlay); !r) return std::unexpected(r.error());
    recovery.journal = journal.facts;
    fs = reload(stored, overlay);
    if (!fs) return recovery;
  }
  judge_inode_again(*fs, device, recovery.journal);
  auto orphans = release_orphans(*fs, overlay);
  if (!orphans) return std::unexpected(orphans.error());
  recovery.orphans = std::move(*orphans);
  if (!primary || !(recovery.replayed || recovery.orphans.processed)) return recovery;
  load_descriptors(*fs);
  if (auto r = count_anew(*fs, overlay); !r) return std::unexpected(r.error());
  return recovery;
}

}  // namespace extscrub
