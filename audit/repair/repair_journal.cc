// A journal that is no journal: its inode from the backup in the superblock, its superblock written anew over the log
// that is there, or a new log altogether. Whoever cannot be replayed is dropped, and said to be.
#include <fmt/format.h>

#include <algorithm>

#include "audit/edit/inode_edit.h"
#include "audit/repair/repair.h"
#include "audit/stage/map_builder.h"
#include "audit/stage/primary_superblock.h"
#include "scan/filesystem/inode_table.h"
#include "scan/format/jbd2_format.h"
#include "scan/journal/journal.h"

namespace extscrub {

using namespace jbd2;

namespace {

// Blocks of a log for a file system of so many, about as mke2fs has it.
uint64_t usual_length(uint64_t blocks) {
  if (blocks < 32768) return kMinBlocks;
  for (const uint64_t length : {4096, 8192, 16384, 32768})
    if (blocks < length * 64) return length;
  return 65536;
}

class JournalRepair {
 public:
  explicit JournalRepair(RepairRound& round)
      : round_(round), fs_(round.fs()), g_(round.geometry()), journal_(open_journal(round.fs(), nullptr)) {}

  // What has to be done, the most thorough first.
  Result<void> run(const Finding& cause) {
    if (is(JournalDefectKind::backup_map_used)) return restore_inode(cause);
    if (is(JournalDefectKind::inode_invalid) || is(JournalDefectKind::inode_map) ||
        cause.problem == Problem::block_multiply_claimed)
      return create(cause);
    if (!journal_.facts.usable || is(JournalDefectKind::users) || is(JournalDefectKind::fields_of_version_2)) {
      if (journal_.facts.flagged) round_.lose(cause, "changes that waited in the journal are dropped");
      return write_superblock();
    }
    if (is(JournalDefectKind::not_empty)) {
      round_.lose(cause, "the log is dropped, as a mount would drop it: " + contents_of_log());
      return empty_journal(journal_, round_.overlay, newest_sequence() + 1);
    }
    // A log that could be followed in part: the recovery has replayed that part.
    round_.lose(cause, fmt::format("changes behind transaction {} are dropped", round_.run.audit.recovery.journal.last_sequence));
    return {};
  }

 private:
  bool is(JournalDefectKind kind) const {
    return std::ranges::find(journal_.facts.defects, kind, &JournalDefect::kind) != journal_.facts.defects.end();
  }

  // The inode as s_jnl_blocks remembers it.
  Result<void> restore_inode(const Finding& cause) {
    auto raw = blank_inode();
    if (!raw) return std::unexpected(raw.error());
    std::ranges::copy(bytes_of(fs_.super.s_jnl_blocks).first(sizeof(ext2_inode::i_block)),
                      raw->begin() + offsetof(ext2_inode, i_block));
    store(*raw, offsetof(ext2_inode, i_size_high), fs_.super.s_jnl_blocks[15]);
    store(*raw, offsetof(ext2_inode, i_size), fs_.super.s_jnl_blocks[16]);
    const bool extents = load<uint16_t>(*raw, offsetof(ext2_inode, i_block)) == EXT3_EXT_MAGIC;
    store(*raw, offsetof(ext2_inode, i_flags), extents ? uint32_t{EXT4_EXTENTS_FL} : 0u);
    seal_inode(g_, InodeNo(EXT2_JOURNAL_INO), *raw);
    round_.lose(cause, "journal inode taken from its backup in the superblock");
    return edit_primary_superblock(round_.overlay, [](ext2_super_block& s) { s.s_journal_inum = EXT2_JOURNAL_INO; });
  }

  // A new log, of the old one's size where that can be believed.
  Result<void> create(const Finding& cause) {
    std::vector<std::byte> old(g_.inode_size);
    uint64_t wanted = 0;
    if (read_inode(fs_, InodeNo(EXT2_JOURNAL_INO), old))
      wanted = Inode(g_, InodeNo(EXT2_JOURNAL_INO), old).size() >> g_.block_bits;
    constexpr uint64_t kMostBlocks = 262144;  // what mke2fs gives the largest file systems
    if (wanted < kMinBlocks || wanted > kMostBlocks) wanted = usual_length(g_.blocks);
    std::vector<Run> runs = allocate(wanted);
    if (runs.empty()) release_old_log();
    for (; runs.empty() && wanted >= kMinBlocks; wanted /= 2) runs = allocate(wanted);
    if (runs.empty()) return drop(cause);
    wanted = runs.back().logical + runs.back().count;

    auto raw = blank_inode();
    if (!raw) return std::unexpected(raw.error());
    const uint64_t size = wanted << g_.block_bits;
    store(*raw, offsetof(ext2_inode, i_flags), g_.extents() ? uint32_t{EXT4_EXTENTS_FL} : 0u);
    store(*raw, offsetof(ext2_inode, i_size), static_cast<uint32_t>(size));
    store(*raw, offsetof(ext2_inode, i_size_high), static_cast<uint32_t>(size >> 32));
    if (auto r = must_write_map(fs_, round_.overlay, round_.blocks, InodeNo(EXT2_JOURNAL_INO), *raw, runs, {}); !r) return r;
    seal_inode(g_, InodeNo(EXT2_JOURNAL_INO), *raw);
    if (auto r = forget_old_logs(runs); !r) return r;
    if (auto r = store_superblock(runs.front().physical, wanted, 1); !r) return r;
    round_.lose(cause, journal_.facts.flagged ? "journal created anew; changes that waited in the old one are dropped"
                                              : "journal created anew");
    return edit_primary_superblock(round_.overlay, [&](ext2_super_block& s) {
      s.s_journal_inum = EXT2_JOURNAL_INO;
      s.s_feature_incompat &= ~uint32_t{EXT3_FEATURE_INCOMPAT_RECOVER};
      s.s_jnl_backup_type = EXT3_JNL_BACKUP_BLOCKS;
      std::memcpy(s.s_jnl_blocks, raw->data() + offsetof(ext2_inode, i_block), sizeof(ext2_inode::i_block));
      s.s_jnl_blocks[15] = static_cast<uint32_t>(size >> 32);
      s.s_jnl_blocks[16] = static_cast<uint32_t>(size);
    });
  }

  // No room for a log: without one the file system is sound too.
  Result<void> drop(const Finding& cause) {
    auto raw = edit_inode(fs_, round_.overlay, InodeNo(EXT2_JOURNAL_INO));
    if (!raw) return std::unexpected(raw.error());
    std::ranges::fill(*raw, std::byte{0});
    seal_inode(g_, InodeNo(EXT2_JOURNAL_INO), *raw);
    round_.lose(cause, "journal taken away: there is no room for one. `tune2fs -j` makes one when there is");
    return edit_primary_superblock(round_.overlay, [](ext2_super_block& s) {
      s.s_journal_inum = 0;
      s.s_feature_compat &= ~uint32_t{EXT3_FEATURE_COMPAT_HAS_JOURNAL};
      s.s_feature_incompat &= ~uint32_t{EXT3_FEATURE_INCOMPAT_RECOVER};
      s.s_jnl_backup_type = 0;
      std::ranges::fill(s.s_jnl_blocks, 0u);
    });
  }

  Result<MutableBytes> blank_inode() {
    auto raw = edit_inode(fs_, round_.overlay, InodeNo(EXT2_JOURNAL_INO));
    if (!raw) return raw;
    std::ranges::fill(*raw, std::byte{0});
    ext2_inode inode{};
    inode.i_mode = 0100600;
    inode.i_links_count = 1;
    inode.i_atime = inode.i_ctime = inode.i_mtime = round_.now;
    store(*raw, 0, inode);
    if (g_.inode_size > EXT2_GOOD_OLD_INODE_SIZE)
      store(*raw, offsetof(ext2_inode_large, i_extra_isize),
            static_cast<uint16_t>(std::min<size_t>(sizeof(ext2_inode_large), g_.inode_size) - EXT2_GOOD_OLD_INODE_SIZE));
    return raw;
  }

  // In one piece where there is one that long; else in as many as it takes. Empty: there is no room.
  std::vector<Run> allocate(uint64_t count) {
    const BlockNo goal = g_.group_first(GroupNo(g_.groups / 2));
    std::vector<Run> runs;
    for (uint64_t done = 0, piece = count; done < count;) {
      piece = std::min(piece, count - done);
      if (const auto at = round_.blocks.allocate_run(goal, static_cast<uint32_t>(piece))) {
        runs.push_back({done, *at, static_cast<uint32_t>(piece), false});
        done += piece;
      } else if (piece == 1) {
        for (const Run& run : runs) round_.blocks.release(run.physical, run.count);
        return {};
      } else {
        piece = (piece + 1) / 2;
      }
    }
    return runs;
  }

  // What is nobody's else is room for the new log, where there is no other.
  void release_old_log() {
    const uint64_t blocks = journal_.log.blocks();
    for (uint64_t i = 0; i < blocks; ++i)
      if (const auto at = journal_.log.place(i); at && !is_shared(round_, *at)) round_.blocks.release(*at, 1);
  }

  // Blocks that could be taken for parts of a log.
  Result<void> forget_old_logs(const std::vector<Run>& runs) {
    std::vector<std::byte> block(g_.block_size);
    for (const Run& run : runs)
      for (BlockNo at = run.physical; at < run.physical + run.count; ++at) {
        if (round_.overlay.read(at, block) && be32(block, kHeaderMagic) != kMagic) continue;
        auto staged = round_.overlay.edit(at);
        if (!staged) return std::unexpected(staged.error());
        std::ranges::fill(*staged, std::byte{0});
      }
    return {};
  }

  // What a replay would write.
  std::string contents_of_log() const {
    Journal log = open_journal(fs_, nullptr, true);
    Overlay scratch(*fs_.image, g_.block_size);
    if (!replay_journal(log, scratch)) return "it cannot be followed";
    return fmt::format("{} transactions of {} blocks", log.facts.transactions, log.facts.replayed_blocks);
  }

  // The newest transaction whose blocks lie in the log: what comes next must not look like it.
  uint32_t newest_sequence() const {
    std::vector<std::byte> block(g_.block_size);
    uint32_t newest = journal_.super.sequence;
    for (uint64_t i = 0; i < journal_.log.blocks(); ++i)
      if (journal_.log.read(i, block) && be32(block, kHeaderMagic) == kMagic && be32(block, kHeaderType) != kSuperV1 &&
          be32(block, kHeaderType) != kSuperV2)
        if (const uint32_t sequence = be32(block, kHeaderSequence); static_cast<int32_t>(sequence - newest) > 0)
          newest = sequence;
    return newest;
  }

  Result<void> write_superblock() {
    const auto at = journal_.log.place(0);
    if (!at) return {};
    if (auto r = store_superblock(*at, journal_.log.blocks(), newest_sequence() + 1); !r) return r;
    return edit_primary_superblock(round_.overlay,
                                   [](ext2_super_block& s) { s.s_feature_incompat &= ~uint32_t{EXT3_FEATURE_INCOMPAT_RECOVER}; });
  }

  Result<void> store_superblock(BlockNo at, uint64_t length, uint32_t sequence) {
    auto block = round_.overlay.edit(at);
    if (!block) return std::unexpected(block.error());
    std::ranges::fill(*block, std::byte{0});
    put_be32(*block, kHeaderMagic, kMagic);
    put_be32(*block, kHeaderType, kSuperV2);
    put_be32(*block, kBlockSize, g_.block_size);
    put_be32(*block, kMaxLen, static_cast<uint32_t>(length));
    put_be32(*block, kFirst, 1);
    put_be32(*block, kSequence, sequence);
    put_be32(*block, kUsers, 1);
    std::ranges::copy(bytes_of(fs_.super.s_uuid), block->begin() + kUuid);
    return {};
  }

  RepairRound& round_;
  const FileSystem& fs_;
  const Geometry& g_;
  Journal journal_;
};

// Whoever replays such a log writes it over metadata, and the log is what yields: it can be made anew. With a file it is the
// other way round.
bool lies_on_metadata(const RepairRound& round) {
  const auto taken = [&](BlockNo block) {
    return round.fs().metadata.find(block) || std::ranges::binary_search(round.fs().bad_blocks, block);
  };
  return std::ranges::any_of(round.run.owners, [&](const Owner& o) {
    if (o.inode != InodeNo(EXT2_JOURNAL_INO) || o.use == Owner::Use::metadata) return false;
    for (uint32_t i = 0; i < o.count; ++i)
      if (taken(o.first + i)) return true;
    return false;
  });
}

// Two places of the log lie in one block: what one holds is gone.
bool has_block_twice(const RepairRound& round) {
  std::vector<BlockRange> own;
  for (const Owner& o : round.run.owners)
    if (o.inode == InodeNo(EXT2_JOURNAL_INO) && o.use != Owner::Use::metadata) own.push_back({o.first, o.first + o.count});
  std::ranges::sort(own, {}, &BlockRange::first);
  for (size_t i = 1; i < own.size(); ++i)
    if (own[i].first < own[i - 1].end) return true;
  return false;
}

}  // namespace

Result<size_t> repair_journal(RepairRound& round) {
  const JournalFacts& journal = round.run.audit.recovery.journal;
  if (journal.external) return 0;
  std::vector<Finding*> wrong;
  // Nothing is written into a log whose blocks somebody else has too, least of all its superblock.
  const bool misplaced =
      journal.inode == InodeNo(EXT2_JOURNAL_INO) && (!journal.usable || lies_on_metadata(round) || has_block_twice(round));
  for (Finding& f : round.findings.of(Problem::block_multiply_claimed))  // a new journal answers to all
    if (misplaced && f.inode == journal.inode && round.may(f.problem)) wrong.insert(wrong.begin(), &f);
  for (Finding& f : round.findings.of(Pass::journal))
    if (round.may(f.problem)) wrong.push_back(&f);
  if (!wrong.empty())
    if (auto r = JournalRepair(round).run(*wrong.front()); !r) return std::unexpected(r.error());
  for (Finding* f : wrong) f->repair = RepairState::staged;
  const size_t answered = wrong.size();
  if (answered > 0) round.stale = true;
  return answered;
}

}  // namespace extscrub
