// Where the log lies, and what its superblock says.
#include <fmt/format.h>

#include <algorithm>

#include "scan/filesystem/inode_table.h"
#include "scan/filesystem/reserved_inodes.h"
#include "scan/format/checksum.h"
#include "scan/format/crc.h"
#include "scan/format/jbd2_format.h"
#include "scan/format/journal_superblock.h"
#include "scan/journal/journal.h"

namespace extscrub {

using namespace jbd2;

namespace {

void defect(JournalFacts& facts, JournalDefectKind kind, uint64_t expected = 0, uint64_t found = 0) {
  facts.defects.push_back({kind, 0, 0, expected, found});
}

// The data of a log must follow each other without a hole, and lie where data can.
class LogRuns : public RunSink {
 public:
  void data(const Run& run, bool) override {
    if (run.logical != next) whole = false;
    if (!whole) return;
    runs.push_back(run);
    next = run.logical + run.count;
  }
  void node(BlockNo) override {}

  std::vector<Run> runs;
  uint64_t next = 0;
  bool whole = true;
};

}  // namespace

bool has_journal_uuid(const ext2_super_block& super) {
  return std::ranges::any_of(super.s_journal_uuid, [](uint8_t b) { return b != 0; });
}

// Fills the log and the facts of a Journal, by whichever way leads to one.
class JournalFinder {
 public:
  JournalFinder(const FileSystem& fs, Journal& journal) : fs_(fs), journal_(journal) {
    journal.log.image_ = fs.blocks;
    journal.log.block_size_ = fs.geometry.block_size;
  }

  [[nodiscard]] bool find_inside() {
    JournalFacts& facts = journal_.facts;
    facts.inode = InodeNo(fs_.super.s_journal_inum);
    std::vector<std::byte> raw(fs_.geometry.inode_size);
    const auto kept = facts.defects.size();
    if (!fs_.geometry.valid_inode(facts.inode) || !read_inode(fs_, facts.inode, raw))
      defect(facts, JournalDefectKind::inode_invalid, fs_.geometry.inodes, facts.inode.value);
    else if (try_inode(raw))
      return true;
    const std::vector<JournalDefect> of_inode(facts.defects.begin() + static_cast<ptrdiff_t>(kept), facts.defects.end());
    if (find_backup()) return true;
    facts.defects.resize(kept);
    facts.defects.insert(facts.defects.end(), of_inode.begin(), of_inode.end());
    return false;
  }

  // Only where the inode's checksum vouches for it, as far as it has one.
  [[nodiscard]] bool find_vouched() {
    journal_.facts.inode = InodeNo(fs_.super.s_journal_inum);
    std::vector<std::byte> raw(fs_.geometry.inode_size);
    if (!is_reserved(fs_.geometry, journal_.facts.inode) || !read_inode(fs_, journal_.facts.inode, raw)) return false;
    return fits_inode_checksum(fs_.geometry, journal_.facts.inode, raw) && try_inode(raw);
  }

  // Along the copy of its map in the superblock.
  [[nodiscard]] bool find_backup() {
    JournalFacts& facts = journal_.facts;
    if (fs_.super.s_jnl_backup_type != EXT3_JNL_BACKUP_BLOCKS) return false;
    facts.inode = InodeNo(fs_.super.s_journal_inum);
    std::vector<std::byte> raw(fs_.geometry.inode_size);
    make_backup_inode(raw);
    if (!try_inode(raw)) return false;
    defect(facts, JournalDefectKind::backup_map_used);
    return true;
  }

  [[nodiscard]] bool find_outside(const Image* device) {
    JournalFacts& facts = journal_.facts;
    facts.external = true;
    if (!device) {
      defect(facts, JournalDefectKind::device_missing, 0, fs_.super.s_journal_dev);
      return false;
    }
    ext2_super_block super;
    if (!device->read(kSuperblockOffset, mutable_bytes_of(super)) || super.s_magic != EXT2_SUPER_MAGIC ||
        !(super.s_feature_incompat & EXT3_FEATURE_INCOMPAT_JOURNAL_DEV) || super.s_log_block_size != fs_.super.s_log_block_size) {
      defect(facts, JournalDefectKind::device_invalid);
      return false;
    }
    if (!std::ranges::equal(super.s_uuid, fs_.super.s_journal_uuid)) {
      defect(facts, JournalDefectKind::device_uuid);
      return false;
    }
    const uint32_t size = fs_.geometry.block_size;
    journal_.log.device_ = device;
    journal_.log.super_ = kSuperblockOffset / size + 1;  // the block behind the ext2 superblock
    journal_.log.blocks_ = std::min<uint64_t>(super.s_blocks_count, device->size() / size);
    return true;
  }

 private:
  bool try_inode(Bytes raw) {
    JournalFacts& facts = journal_.facts;
    const Inode inode(fs_.geometry, facts.inode, raw);
    if (inode.type() != FileType::regular || inode.base().i_links_count == 0 || !inode.has_block_map() ||
        inode.is(EXT4_ENCRYPT_FL)) {
      defect(facts, JournalDefectKind::inode_invalid, 0100600, inode.base().i_mode);
      return false;
    }
    LogRuns runs;
    MapWalker walker(fs_);
    const BlockMap& map = walker.walk(inode, runs);
    const uint64_t blocks = inode.size() / fs_.geometry.block_size;
    const uint64_t wanted = std::max<uint64_t>(blocks + (inode.size() % fs_.geometry.block_size != 0), kMinBlocks);
    if (blocks < kMinBlocks || !map.whole || !runs.whole || runs.next < wanted || blocks > UINT32_MAX) {
      defect(facts, JournalDefectKind::inode_map, wanted, runs.next);
      return false;
    }
    journal_.log.runs_ = std::move(runs.runs);
    journal_.log.blocks_ = blocks;
    return true;
  }

  // The superblock keeps i_block, i_size_high and i_size of the journal inode.
  void make_backup_inode(MutableBytes raw) {
    std::ranges::fill(raw, std::byte{0});
    ext2_inode inode{};
    inode.i_mode = 0100600;
    inode.i_links_count = 1;
    static_assert(sizeof inode.i_block == 15 * sizeof(uint32_t));
    std::memcpy(inode.i_block, fs_.super.s_jnl_blocks, sizeof inode.i_block);
    inode.i_size_high = fs_.super.s_jnl_blocks[15];
    inode.i_size = fs_.super.s_jnl_blocks[16];
    const auto first = load<uint16_t>(bytes_of(inode.i_block));
    if (fs_.geometry.extents() && first == EXT3_EXT_MAGIC) inode.i_flags = EXT4_EXTENTS_FL;
    store(raw, 0, inode);
  }

  const FileSystem& fs_;
  Journal& journal_;
};

Result<void> JournalLog::read(uint64_t log_block, MutableBytes out) const {
  if (log_block + out.size() / block_size_ > blocks_)
    return std::unexpected(Error{fmt::format("the journal has no block {}", log_block)});
  if (device_) return device_->read(log_block * block_size_, out);
  while (!out.empty()) {
    const Run* const run = find_run(log_block);
    if (!run) return std::unexpected(Error{fmt::format("block {} of the journal is a hole", log_block)});
    const uint64_t skipped = log_block - run->logical;
    const uint64_t count = std::min<uint64_t>(out.size() / block_size_, run->count - skipped);
    if (auto r = image_->read(run->physical + skipped, out.first(count * block_size_)); !r) return r;
    out = out.subspan(count * block_size_);
    log_block += count;
  }
  return {};
}

void JournalLog::prefetch(uint64_t log_block) const noexcept {
  if (device_) return device_->prefetch(log_block * block_size_, block_size_);
  if (const auto at = place(log_block)) image_->image().prefetch(at->value * block_size_, block_size_);
}

const Run* JournalLog::find_run(uint64_t log_block) const {
  auto it = std::ranges::upper_bound(runs_, log_block, {}, &Run::logical);
  if (it == runs_.begin()) return nullptr;
  --it;
  return log_block - it->logical < it->count ? &*it : nullptr;
}

std::optional<BlockNo> JournalLog::place(uint64_t log_block) const {
  const Run* const run = find_run(log_block);
  return run ? std::optional(run->physical + (log_block - run->logical)) : std::nullopt;
}

bool JournalLog::contains(BlockNo block) const {
  return std::ranges::any_of(runs_, [=](const Run& run) { return block >= run.physical && block - run.physical < run.count; });
}

bool JournalLog::lies_as(const JournalLog& other) const {
  return device_ == nullptr && other.device_ == nullptr && blocks_ == other.blocks_ &&
         std::ranges::equal(runs_, other.runs_, [](const Run& a, const Run& b) {
           return a.logical == b.logical && a.physical == b.physical && a.count == b.count;
         });
}

bool JournalSuper::csum_v2_or_v3() const { return incompat & (kIncompatCsumV2 | kIncompatCsumV3); }

size_t JournalSuper::tag_bytes() const {
  if (has_incompat(kIncompatCsumV3)) return 16;
  return 8 + (has_incompat(kIncompatCsumV2) ? 2 : 0) + (has_incompat(kIncompat64Bit) ? 4 : 0);
}

size_t JournalSuper::tail_bytes() const { return csum_v2_or_v3() ? sizeof(uint32_t) : 0; }

namespace {

// The features first: what is not known is not to be interpreted.
bool read_features(Bytes block, Journal& journal) {
  JournalSuper& s = journal.super;
  JournalFacts& facts = journal.facts;
  s.compat = be32(block, kCompat);
  s.incompat = be32(block, kIncompat);
  s.ro_compat = be32(block, kRoCompat);
  const uint32_t users = be32(block, kUsers);
  if (s.version == 1) {
    if (s.compat || s.incompat || s.ro_compat || users) defect(facts, JournalDefectKind::fields_of_version_2);
    s.compat = s.incompat = s.ro_compat = 0;
    return true;
  }
  if (users > 1) defect(facts, JournalDefectKind::users, 1, users);
  if (s.incompat & ~uint32_t{kIncompatKnown} || s.ro_compat != 0) {
    defect(facts, JournalDefectKind::unknown_features, kIncompatKnown, s.incompat);
    return false;
  }
  if ((s.has_incompat(kIncompatCsumV2) && s.has_incompat(kIncompatCsumV3)) || (s.csum_v2_or_v3() && s.compat & kCompatChecksum)) {
    defect(facts, JournalDefectKind::checksum_features);
    return false;
  }
  if (s.csum_v2_or_v3()) {
    if (const auto type = std::to_integer<uint8_t>(block[kChecksumType]); type != kCrc32c) {
      defect(facts, JournalDefectKind::checksum_type, kCrc32c, type);
      return false;
    }
    if (const uint32_t crc = journal_superblock_checksum(block.first<kSuperSize>()), found = be32(block, kChecksum);
        crc != found) {
      defect(facts, JournalDefectKind::checksum, crc, found);
      return false;
    }
    s.csum_seed = crc32c(~0u, block.subspan(kUuid, 16));
  }
  std::memcpy(facts.uuid.data(), block.data() + kUuid, facts.uuid.size());
  return true;
}

// The log's bounds, each against the blocks that there are.
bool read_bounds(Bytes block, Journal& journal) {
  JournalSuper& s = journal.super;
  JournalFacts& facts = journal.facts;
  const uint32_t length = be32(block, kMaxLen);
  const uint64_t most = journal.log.blocks();
  if (length > most || length < kMinBlocks) {
    defect(facts, JournalDefectKind::length, most, length);
    return false;
  }
  s.end = s.fc_first = s.fc_end = length;
  facts.blocks = s.end;
  const uint32_t asked = s.version == 1 ? 0 : be32(block, kFastCommitBlocks);
  const uint32_t reserved = s.fc_blocks = asked ? asked : kDefaultFastCommitBlocks;
  facts.fast_commits_fit = reserved < s.end && s.end - reserved >= kMinBlocks;
  if (s.has_incompat(kIncompatFastCommit)) {
    if (!facts.fast_commits_fit) {
      defect(facts, JournalDefectKind::fast_commit_area, s.end - kMinBlocks, reserved);
      return false;
    }
    s.end -= reserved;
    s.fc_first = s.end + 1;
  }
  s.first = be32(block, kFirst);
  if (s.first <= journal.log.super_block() || s.first >= s.end) {
    defect(facts, JournalDefectKind::first, journal.log.super_block() + 1, s.first);
    return false;
  }
  s.start = be32(block, kStart);
  if (s.start != 0 && (s.start < s.first || s.start >= s.end)) {
    defect(facts, JournalDefectKind::start, s.end - 1, s.start);
    return false;
  }
  return true;
}

bool read_super(const FileSystem& fs, Journal& journal) {
  JournalFacts& facts = journal.facts;
  std::vector<std::byte> block(fs.geometry.block_size);
  if (!journal.log.read(journal.log.super_block(), block)) {
    defect(facts, JournalDefectKind::unreadable);
    return false;
  }
  if (const uint32_t magic = be32(block, kHeaderMagic); magic != kMagic) {
    defect(facts, JournalDefectKind::magic, kMagic, magic);
    return false;
  }
  const uint32_t type = be32(block, kHeaderType);
  if (type != kSuperV1 && type != kSuperV2) {
    defect(facts, JournalDefectKind::block_type, kSuperV2, type);
    return false;
  }
  journal.super.version = type == kSuperV1 ? 1 : 2;
  if (const uint32_t size = be32(block, kBlockSize); size != fs.geometry.block_size) {
    defect(facts, JournalDefectKind::block_size, fs.geometry.block_size, size);
    return false;
  }
  if (!read_features(block, journal) || !read_bounds(block, journal)) return false;
  journal.super.sequence = be32(block, kSequence);
  if (journal.super.version == 2) journal.super.head = be32(block, kHead);
  const auto error = static_cast<int32_t>(be32(block, kErrno));
  facts.error = error < 0 ? 0u - static_cast<uint32_t>(error) : static_cast<uint32_t>(error);
  return true;
}

// The bitmaps say that the blocks of the log are in use.
bool is_in_use(const FileSystem& fs, const JournalLog& log) {
  const Geometry& g = fs.geometry;
  std::vector<std::byte> bitmap(g.block_size);
  std::optional<GroupNo> read;
  for (uint64_t i = 0; i < log.blocks(); ++i) {
    const auto at = log.place(i);
    if (!at || !g.contains(*at)) return false;
    const GroupNo group = g.group_of(*at);
    const GroupDesc& d = fs.groups[group.value];
    if (read != group && (d.block_uninit() || !fs.blocks->read(d.block_bitmap, bitmap))) return false;
    read = group;
    if (!test_bit(bitmap, g.cluster_in_group(*at))) return false;
  }
  return true;
}

// The journal inode leads to what is no journal: its backup in the superblock is believed where a log begins there, in blocks
// that are in use.
bool use_backup_map(const FileSystem& fs, Journal& journal) {
  Journal other;
  other.facts.flagged = journal.facts.flagged;
  other.facts.present = true;
  if (!JournalFinder(fs, other).find_backup() || other.log.lies_as(journal.log) || !read_super(fs, other) ||
      !is_in_use(fs, other.log))
    return false;
  journal = std::move(other);
  return true;
}

}  // namespace

bool names_journal_device(const FileSystem& fs) {
  if (!has_journal_uuid(fs.super) || fs.super.s_journal_inum == 0) return has_journal_uuid(fs.super);
  if (fs.super.s_journal_dev == 0) return false;
  std::optional<ReadableCopy> copy;
  if (!fs.blocks) copy.emplace(fs);
  const FileSystem& readable = copy ? copy->fs : fs;
  Journal inside;
  return !(JournalFinder(readable, inside).find_vouched() && read_super(readable, inside));
}

Journal open_journal(const FileSystem& fs, const Image* device, bool unflagged) {
  Journal journal;
  JournalFacts& facts = journal.facts;
  facts.flagged = fs.geometry.has_incompat(EXT3_FEATURE_INCOMPAT_RECOVER);
  facts.present = fs.geometry.has_compat(EXT3_FEATURE_COMPAT_HAS_JOURNAL);
  if (!facts.present) return journal;
  JournalFinder finder(fs, journal);
  const bool found = names_journal_device(fs) ? finder.find_outside(device) : finder.find_inside();
  facts.usable = found && read_super(fs, journal);
  if (!facts.usable && !facts.external) facts.usable = use_backup_map(fs, journal);
  if (!facts.usable) return journal;
  // A backup of the superblock does not tell whether the log is needed.
  const bool empty = journal.super.start == 0;
  facts.needs_recovery = !empty && (facts.flagged || unflagged || !fs.primary_problem.empty());
  if (!empty && !facts.needs_recovery) defect(facts, JournalDefectKind::not_empty, 0, journal.super.start);
  return journal;
}

Result<void> empty_journal(const Journal& journal, Overlay& overlay, uint32_t next_sequence) {
  const auto at = journal.log.place(0);
  if (!at) return {};
  auto block = overlay.edit(*at);
  if (!block) return std::unexpected(block.error());
  begin_log(block->first<kSuperSize>(), 0, next_sequence);  // nowhere
  return {};
}

}  // namespace extscrub
