#include "audit/lost/lost_writes.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "audit/catalogue/finding_id.h"
#include "audit/lost/misplaced_blocks.h"
#include "scan/filesystem/inode_table.h"
#include "scan/filesystem/table_block.h"
#include "scan/format/block_likeness.h"
#include "scan/format/checksum.h"
#include "scan/inodes/owned_block.h"
#include "scan/journal/stale_blocks.h"

namespace extscrub {

namespace {

constexpr int kMostLayers = 6;      // of blocks that are found only when others are back
constexpr size_t kEdited = 2;        // of an edited block, one in so many of the changes since the oldest version is there
constexpr size_t kMostAlone = 8;    // candidates that are each tried without
constexpr size_t kMostHeld = 16;    // and of those that may harm; a trial takes as long as an audit

using Places = std::set<FindingId>;

bool counts(const Finding& f) { return info(f.problem).severity == Severity::error; }

// Seconds since 1970. mke2fs says that it is one; then there was none since, and what is of the same second counts. But not
// where there are no mounts since: a check sets their number to 0, and without any there was nothing to log.
uint64_t last_check(const ext2_super_block& super) {
  return super.s_lastcheck == super.s_mkfs_time && super.s_mnt_count > 0 ? 0 : super.s_lastcheck;
}

template <class List>
Places places_in(const List& findings) {
  Places places;
  for (const Finding& f : findings)
    if (counts(f)) places.insert(id_of(f));
  return places;
}

// The image with blocks put back, and what an audit says to that.
struct Trial {
  std::unique_ptr<Overlay> overlay;
  AuditRun run;
};

class Search {
 public:
  Search(const AuditRun& run, const AuditOptions& options, HistorySource& source)
      : run_(run), options_(options), check_(source.check), journal_(source.journal), history_(source.history), fs_(run.fs),
        before_(places_in(run.findings)) {
    options_.history = false;
    options_.max_findings = kUnlimited;
    options_.data = false;
    options_.unreadable = nullptr;
  }

  Result<std::vector<LostWrite>> go() {
    // Where nothing is wrong, nothing speaks for a copy but its age, or an older one that lies in place.
    stale_ = check_.finish(before_.empty() ? HistoryCheck::Depth::tables : HistoryCheck::Depth::all);
    take_misplaced();
    if (auto r = take_misplaced_owned(); !r) return std::unexpected(r.error());
    take_tables();
    if (!lost_.empty()) stale_ = check_.finish(HistoryCheck::Depth::all);
    if (lost_.empty() && stale_.empty()) return std::vector<LostWrite>();
    if (lost_.empty() && before_.empty() && !has_older_copy()) return std::vector<LostWrite>();
    find_descriptors();
    if (!lost_.empty() || !descriptors_.empty())
      if (auto r = retry(); !r) return std::unexpected(r.error());
    if (auto r = take_owned(); !r) return std::unexpected(r.error());
    if (auto r = take_groups(); !r) return std::unexpected(r.error());
    if (auto r = judge(); !r) return std::unexpected(r.error());
    std::ranges::sort(lost_, {}, &LostWrite::block);
    return std::move(lost_);
  }

 private:
  using Content = std::vector<std::byte>;

  // The run that the next step goes by: with everything put back that was found so far.
  [[nodiscard]] const AuditRun& now() const { return trial_ ? trial_->run : run_; }

  [[nodiscard]] bool has_older_copy() const {
    return std::ranges::any_of(stale_, [](const StaleBlock& s) { return s.same.has_value(); });
  }

  [[nodiscard]] bool is_taken(BlockNo block) const {
    return std::ranges::any_of(lost_, [=](const LostWrite& l) { return l.block == block; });
  }

  [[nodiscard]] Content in_place(BlockNo block) const {
    Content bytes(fs_.geometry.block_size);
    if (!fs_.blocks->read(block, bytes)) bytes.clear();
    return bytes;
  }

  [[nodiscard]] Content logged(const LoggedCopy& copy) const {
    Content bytes(fs_.geometry.block_size);
    if (!read_copy(journal_, history_, copy, bytes)) bytes.clear();
    return bytes;
  }
  [[nodiscard]] Content newest(const StaleBlock& stale) const { return logged(stale.newest); }
  [[nodiscard]] Content oldest(const StaleBlock& stale) const { return logged(stale.oldest); }

  // Of the oldest version that the log has for sure: its transaction is the first one there that wrote the block.
  [[nodiscard]] WriteTime time_of_oldest(const StaleBlock& stale) const {
    const auto committed = [&](size_t index) {
      const LoggedTransaction& t = history_.transactions[index];
      return static_cast<int64_t>(t.seconds) * 1'000'000'000 + t.nanoseconds;
    };
    WriteTime time;
    if (stale.oldest.transaction < history_.unbroken) return time;
    time.known = committed(history_.unbroken);
    // A transaction opens while the one before it is being committed, and never before the commit of the one before that.
    if (stale.oldest.transaction > history_.unbroken + 1) time.begin = committed(stale.oldest.transaction - 2);
    return time;
  }

  // What an editor leaves, and no lost write: where the newest version differs from the oldest one in the log, most of what
  // lies in place is as in the newest. `unit`: bits or bytes that are compared as one.
  [[nodiscard]] bool is_edited(const StaleBlock& stale, Bytes place, Bytes fresh, LikenessUnit unit) const {
    if (stale.same) return false;
    const Content first = oldest(stale);
    if (first.empty()) return true;
    const Likeness like = compare_versions(place, first, fresh, unit);
    return like.changed > 0 && like.as_fresh * kEdited >= like.changed;
  }

  [[nodiscard]] const StaleBlock* find_stale(BlockNo block) const {
    const auto at = std::ranges::lower_bound(stale_, block, {}, &StaleBlock::block);
    return at != stale_.end() && at->block == block ? &*at : nullptr;
  }

  LostWrite& take(BlockNo block, LostWriteEvidence evidence) {
    LostWrite& lost = lost_.emplace_back();
    lost.block = block;
    lost.evidence = evidence;
    if (const MetadataExtent* extent = fs_.metadata.find(block); extent && extent->kind != MetadataKind::descriptors)
      lost.group = extent->group;
    return lost;
  }

  void from_log(LostWrite& lost, const StaleBlock& stale, Content content) const {
    lost.content = std::move(content);
    lost.logged = true;
    lost.log_block = stale.newest.log_block;
    const LoggedTransaction& t = history_.transactions[stale.newest.transaction];
    lost.sequence = t.sequence;
    lost.seconds = t.seconds;
    if (!stale.same) return;
    const LoggedTransaction& old = history_.transactions[stale.same->transaction];
    lost.old_sequence = old.sequence;
    lost.old_seconds = old.seconds;
  }

  // `otherwise`: what it rests on where no older copy lies in place.
  LostWrite& take_stale(const StaleBlock& stale, LostWriteEvidence otherwise, Content content) {
    LostWrite& lost = take(stale.block, stale.same ? LostWriteEvidence::older_copy : otherwise);
    from_log(lost, stale, std::move(content));
    return lost;
  }

  // ---- Blocks of inode tables that lie in the place of others ----

  // What a table block has in the log, where that is sound there.
  [[nodiscard]] Content sound_newest(const TableBlock& place, const StaleBlock* stale) const {
    Content content = stale ? newest(*stale) : Content();
    if (!content.empty() && !is_sound(fs_, place, content)) content.clear();
    return content;
  }

  void take_misplaced() {
    if (!fs_.geometry.metadata_csum()) return;
    std::set<BlockNo> damaged;
    for (const Finding& f : run_.findings)
      if (f.problem == Problem::inode_checksum) damaged.insert(place_of(fs_, *f.inode).block);
    std::map<BlockNo, BlockNo> homes;  // by where they lie
    for (const BlockNo block : damaged) {
      const auto place = find_table_block(fs_, block);
      const Content bytes = place ? in_place(block) : Content();
      if (bytes.empty()) continue;
      if (const auto home = find_home(fs_, *place, bytes)) homes.emplace(block, *home);
    }
    for (const auto& [block, home] : homes) take_from(block, home);
    for (const auto& [block, home] : homes) take_home(block, home, homes);
  }

  // The block that was written over.
  void take_from(BlockNo block, BlockNo home) {
    const TableBlock place = *find_table_block(fs_, block);
    LostWrite& lost = take(block, LostWriteEvidence::misplaced);
    lost.home = home;
    const StaleBlock* stale = find_stale(block);
    if (Content content = sound_newest(place, stale); !content.empty()) {
      lost.inodes = differing_inodes(fs_, place, in_place(block), content);
      return from_log(lost, *stale, std::move(content));
    }
    const Content bytes = in_place(block);
    for (uint32_t i = 0; i < place.count; ++i)
      if (run_.scan->used.test(fs_.geometry.group_of(place.first), (place.first.value - 1) % fs_.geometry.inodes_per_group + i))
        lost.inodes.push_back(place.first + i);
  }

  // The block that was to be written. What lies elsewhere is newer than what the log has when it is not the same.
  void take_home(BlockNo block, BlockNo home, const std::map<BlockNo, BlockNo>& homes) {
    const TableBlock place = *find_table_block(fs_, home);
    Content content = in_place(block);
    if (!is_sound(fs_, place, content)) return;
    const auto there = homes.find(home);
    if (there == homes.end()) {
      const Content stays = in_place(home);
      if (stays.empty() || std::ranges::equal(stays, content)) return;
      if (is_sound(fs_, place, stays) && !is_older(fs_, place, stays, content)) return;
      LostWrite& lost = take(home, LostWriteEvidence::agreement);
      lost.source = block;
      lost.inodes = differing_inodes(fs_, place, stays, content);
      lost.content = std::move(content);
      if (const StaleBlock* stale = find_stale(home)) from_log(lost, *stale, std::move(lost.content));
      return;
    }
    // Something else lies there as well: the block is taken already.
    for (LostWrite& lost : lost_)
      if (lost.block == home && lost.content.empty()) {
        lost.source = block;
        lost.content = content;
      }
  }

  // ---- Blocks of directories, extent trees and attributes that lie in the place of others ----

  Result<void> take_misplaced_owned() {
    if (before_.empty()) return {};
    const auto misplaced = find_misplaced_blocks(run_, options_.progress);
    if (!misplaced) return std::unexpected(misplaced.error());
    for (const MisplacedBlock& m : *misplaced) {
      LostWrite& lost = take(m.owner.first, LostWriteEvidence::misplaced);
      lost.owner = m.owner.inode;
      lost.group = fs_.geometry.group_of(m.owner.inode);
      lost.belongs_to = m.belongs_to;
      lost.home = m.home;
      const auto fits = [&](const Content& content) { return !content.empty() && fits_owner_in_place(m.owner, content); };
      const StaleBlock* stale = find_stale(lost.block);
      if (Content content = stale ? newest(*stale) : Content(); fits(content)) {
        from_log(lost, *stale, std::move(content));
        continue;
      }
      for (const MisplacedBlock& other : *misplaced)
        if (Content content = other.home == lost.block ? in_place(other.owner.first) : Content(); fits(content)) {
          lost.source = other.owner.first;
          lost.content = std::move(content);
        }
    }
    return {};
  }

  [[nodiscard]] bool fits_owner_in_place(const Owner& owner, Bytes content) const {
    Content raw(fs_.geometry.inode_size);
    return read_inode(fs_, owner.inode, raw) && fits_owner(fs_, owner, Inode(fs_.geometry, owner.inode, raw), content);
  }

  // ---- Blocks of inode tables that are older than they should be ----

  void take_tables() {
    for (const StaleBlock& stale : stale_) {
      const auto place = find_table_block(fs_, stale.block);
      if (!place || is_taken(stale.block)) continue;
      const Content old = in_place(stale.block);
      if (old.empty() || !is_sound(fs_, *place, old)) continue;
      Content fresh = sound_newest(*place, &stale);
      if (fresh.empty() || !(stale.same || is_older_table(*place, stale, old, fresh))) continue;
      std::vector<InodeNo> inodes = differing_inodes(fs_, *place, old, fresh);
      take_stale(stale, LostWriteEvidence::time, std::move(fresh)).inodes = std::move(inodes);
    }
  }

  // It is none of the versions in the log: then it is older than all of them, the first as well as the newest.
  [[nodiscard]] bool is_older_table(const TableBlock& place, const StaleBlock& stale, Bytes old, Bytes fresh) const {
    const Content first = oldest(stale);
    return !first.empty() && !is_edited(stale, old, fresh, LikenessUnit::byte) && is_older(fs_, place, old, fresh) &&
           is_older(fs_, place, old, first, time_of_oldest(stale));
  }

  // ---- Blocks that an inode has: directories, maps, attributes ----

  Result<void> take_owned() {
    for (int layer = 0; layer < kMostLayers; ++layer) {
      std::vector<BlockRange> ranges;
      for (const StaleBlock& stale : stale_)
        if (!fs_.metadata.find(stale.block) && !is_taken(stale.block)) ranges.push_back({stale.block, stale.block + 1});
      if (ranges.empty()) return {};
      const auto owners = find_owners(now().fs, *now().scan, blocks_in(ranges), options_.progress);
      if (!owners) return std::unexpected(owners.error());
      const size_t before = lost_.size();
      for (const Owner& owner : *owners)
        if (const StaleBlock* stale = find_stale(owner.first); stale && !is_taken(stale->block)) take_owned(owner, *stale);
      if (lost_.size() == before) return {};
      if (auto r = retry(); !r) return r;
    }
    return {};
  }

  void take_owned(const Owner& owner, const StaleBlock& stale) {
    const FileSystem& fs = now().fs;
    std::vector<std::byte> raw(fs.geometry.inode_size);
    if (!owner.inode || !read_inode(fs, owner.inode, raw)) return;
    const Inode inode(fs.geometry, owner.inode, raw);
    const Content old = in_place(stale.block);
    Content fresh = newest(stale);
    if (fresh.empty() || old.empty() || !fits_owner(fs, owner, inode, fresh)) return;
    const bool fits = fits_owner(fs, owner, inode, old), alike = are_alike(old, fresh);
    // An unsound block that is nearly the newest version was damaged, and is no older one.
    if (!fits && alike) return;
    if (!stale.same) {
      if (now_places().empty() || is_edited(stale, old, fresh, LikenessUnit::byte)) return;
      if (inode.type() == FileType::directory && has_trace_of_removed(fs.geometry, old, fresh)) return;
      // The log has every version since its owner was made: one that is not there was written past it.
      if (fits && (alike || fs.geometry.metadata_csum()) && is_made_since(inode, time_of_oldest(stale).known)) return;
    }
    LostWrite& lost = take_stale(stale, LostWriteEvidence::agreement, std::move(fresh));
    lost.owner = owner.inode;
    lost.group = fs.geometry.group_of(owner.inode);
  }

  // ---- Bitmaps and descriptors: the newest is right where it says just what is in use, and what lies in place does not ----

  Result<void> take_groups() {
    if (now_places().empty() && descriptors_.empty()) return {};
    const size_t before = lost_.size();
    for (const StaleBlock& stale : stale_) {
      const MetadataExtent* extent = fs_.metadata.find(stale.block);
      if (extent && (extent->kind == MetadataKind::block_bitmap || extent->kind == MetadataKind::inode_bitmap))
        take_bitmap(*extent, stale);
    }
    if (lost_.size() > before)
      if (auto r = retry(); !r) return r;
    return take_descriptors();
  }

  void take_bitmap(const MetadataExtent& extent, const StaleBlock& stale) {
    const bool of_blocks = extent.kind == MetadataKind::block_bitmap;
    const InodeScan& scan = *now().scan;
    const auto bits = of_blocks ? static_cast<uint32_t>(fs_.geometry.clusters(extent.group)) : fs_.geometry.inodes_per_group;
    Content right(fs_.geometry.block_size);
    make_bitmap(of_blocks ? scan.claims : scan.used, extent.group, bits, right);
    Content fresh = newest(stale);
    const Content old = in_place(stale.block);
    if (fresh != right || old.empty() || old == right) return;
    // Who edits a bitmap gives its checksum to the descriptor, too, which a replay then may have put back.
    const bool sealed =
        of_blocks && !run_.audit.recovery.replayed && fs_.geometry.metadata_csum() && is_sealed(fs_, extent, fresh);
    if (!stale.same && !sealed && (is_edited(stale, old, fresh, LikenessUnit::bit) || !is_sealed(now().fs, extent, fresh)))
      return;
    take_stale(stale, LostWriteEvidence::agreement, std::move(fresh));
  }

  // The descriptor has the checksum of this bitmap. Without metadata_csum nothing speaks against it.
  [[nodiscard]] static bool is_sealed(const FileSystem& fs, const MetadataExtent& extent, Bytes bitmap) {
    const Geometry& g = fs.geometry;
    if (!g.metadata_csum()) return true;
    const GroupDesc& desc = fs.groups[extent.group.value];
    if (extent.kind == MetadataKind::block_bitmap)
      return desc.block_bitmap_csum == bitmap_checksum(g, bitmap, g.clusters_per_group);
    return desc.inode_bitmap_csum == bitmap_checksum(g, bitmap, g.inodes_per_group);
  }

  // They are in every trial where they might help; here it is told whether they do.
  Result<void> take_descriptors() {
    if (descriptors_.empty()) return {};
    const Places with = now_places();
    const auto kept = std::move(trial_);  // the places point into it
    const auto tried = std::exchange(descriptors_, {});
    if (auto r = retry(); !r) return r;
    const Places without = now_places();
    if (without.size() <= with.size() || !std::ranges::includes(without, with)) return {};
    for (const StaleBlock* stale : tried) take_stale(*stale, LostWriteEvidence::agreement, newest(*stale));
    return retry();
  }

  // Those that say of the same places other counts, flags and checksums than the ones in place, and are sound.
  void find_descriptors() {
    if (before_.empty() && lost_.empty()) return;
    for (const StaleBlock& stale : stale_) {
      const MetadataExtent* extent = fs_.metadata.find(stale.block);
      if (extent && extent->kind == MetadataKind::descriptors && is_sound_table_of_descriptors(stale))
        descriptors_.push_back(&stale);
    }
  }

  [[nodiscard]] bool is_sound_table_of_descriptors(const StaleBlock& stale) const {
    const Geometry& g = fs_.geometry;
    const Content fresh = newest(stale);
    const Content old = in_place(stale.block);
    if (fresh.empty() || old.empty() || is_edited(stale, old, fresh, LikenessUnit::half_word)) return false;
    for (uint32_t index = 0; index < g.desc_blocks; ++index) {
      if (g.desc_block(index, GroupNo()) != stale.block) continue;
      for (uint32_t i = 0; i < g.desc_per_block && index * g.desc_per_block + i < g.groups; ++i) {
        const GroupNo group(index * g.desc_per_block + i);
        const GroupDesc was = fs_.groups[group.value];
        const GroupDesc is = decode_group_desc(g, fs_.super, group, Bytes(fresh).subspan(size_t{i} * g.desc_size, g.desc_size));
        if (!is.checksum_ok || is.block_bitmap != was.block_bitmap || is.inode_bitmap != was.inode_bitmap ||
            is.inode_table != was.inode_table)
          return false;
        if (!stale.same && !is_newer(was, is)) return false;
      }
      return true;
    }
    return false;
  }

  // What changes the counts of a group changes one of its bitmaps, and with it that bitmap's checksum.
  [[nodiscard]] bool is_newer(const GroupDesc& was, const GroupDesc& is) const {
    if (!fs_.geometry.metadata_csum()) return true;
    const bool counts = was.free_clusters != is.free_clusters || was.free_inodes != is.free_inodes ||
                        was.used_dirs != is.used_dirs || was.itable_unused != is.itable_unused || was.flags != is.flags;
    return !counts || was.block_bitmap_csum != is.block_bitmap_csum || was.inode_bitmap_csum != is.inode_bitmap_csum;
  }

  // ---- What it all amounts to ----

  Result<void> judge() {
    if (lost_.empty()) return {};
    if (auto r = drop_what_harms(); !r) return r;
    const Places with = now_places();
    const bool few = std::ranges::count_if(lost_, needs_agreement) <= static_cast<ptrdiff_t>(kMostAlone);
    for (size_t i = 0; few && i < lost_.size(); ++i) {
      if (!needs_agreement(lost_[i])) continue;
      const auto without = places_without(i);
      if (!without) return std::unexpected(without.error());
      const bool agrees = without->size() > with.size() && std::ranges::includes(*without, with);
      lost_[i].evidence = agrees ? LostWriteEvidence::agreement : LostWriteEvidence::time;
    }
    if (!few && with.size() < before_.size())
      for (LostWrite& lost : lost_)
        if (needs_agreement(lost)) lost.evidence = LostWriteEvidence::agreement;
    // Of a directory's block there is no time to go by.
    std::erase_if(lost_, [](const LostWrite& l) { return l.evidence == LostWriteEvidence::time && l.owner; });
    believe_transactions();
    return {};
  }

  [[nodiscard]] static bool needs_agreement(const LostWrite& lost) {
    return lost.evidence == LostWriteEvidence::time || (lost.evidence == LostWriteEvidence::agreement && lost.owner);
  }

  // One write of a transaction that was lost makes it likely of the others.
  void believe_transactions() {
    std::set<uint32_t> proven;
    for (const LostWrite& lost : lost_)
      if (lost.logged && lost.evidence != LostWriteEvidence::time) proven.insert(lost.sequence);
    for (LostWrite& lost : lost_)
      if (lost.evidence == LostWriteEvidence::time && proven.contains(lost.sequence))
        lost.evidence = LostWriteEvidence::agreement;
  }

  // What brings findings that were not there is not put back. What is proven stays a finding.
  Result<void> drop_what_harms() {
    for (size_t i = lost_.size(), tried = 0; i-- > 0 && tried < kMostHeld && !is_harmless(); ++tried) {
      const size_t harm = new_places().size();
      LostWrite held = std::move(lost_[i]);
      lost_.erase(lost_.begin() + static_cast<ptrdiff_t>(i));
      if (auto r = retry(); !r) return r;
      if (new_places().size() < harm) continue;
      lost_.insert(lost_.begin() + static_cast<ptrdiff_t>(i), std::move(held));
      if (auto r = retry(); !r) return r;
    }
    if (is_harmless()) return {};
    std::erase_if(lost_, [](const LostWrite& l) {
      return l.evidence != LostWriteEvidence::older_copy && l.evidence != LostWriteEvidence::misplaced;
    });
    for (LostWrite& lost : lost_) lost.content.clear();
    return retry();
  }

  [[nodiscard]] Places new_places() const {
    Places fresh;
    std::ranges::set_difference(now_places(), before_, std::inserter(fresh, fresh.end()));
    return fresh;
  }
  [[nodiscard]] bool is_harmless() const { return new_places().empty(); }

  Result<Places> places_without(size_t left_out) {
    std::vector<const LostWrite*> others;
    for (size_t i = 0; i < lost_.size(); ++i)
      if (i != left_out) others.push_back(&lost_[i]);
    auto trial = try_with(others);
    if (!trial) return std::unexpected(trial.error());
    spare_ = std::move(*trial);  // the places point into it
    return places_in(spare_->run.audit.findings);
  }

  // ---- Trials ----

  [[nodiscard]] Places now_places() const { return trial_ ? places_in(trial_->run.audit.findings) : before_; }

  Result<void> retry() {
    std::vector<const LostWrite*> all;
    for (const LostWrite& lost : lost_) all.push_back(&lost);
    auto trial = try_with(all);
    if (!trial) return std::unexpected(trial.error());
    trial_ = std::move(*trial);
    return {};
  }

  Result<std::unique_ptr<Trial>> try_with(const std::vector<const LostWrite*>& lost) const {
    auto trial = std::make_unique<Trial>();
    trial->overlay = std::make_unique<Overlay>(*fs_.image, fs_.geometry.block_size, options_.overlay_memory);
    for (const LostWrite* l : lost)
      if (auto r = put_back(*l, *trial->overlay); !r) return std::unexpected(r.error());
    for (const StaleBlock* stale : descriptors_) {
      LostWrite l;
      l.block = stale->block;
      l.content = newest(*stale);
      if (auto r = put_back(l, *trial->overlay); !r) return std::unexpected(r.error());
    }
    auto run = run_audit(*fs_.image, trial->overlay.get(), options_);
    if (!run) return std::unexpected(run.error());
    trial->run = std::move(*run);
    return trial;
  }

  const AuditRun& run_;
  AuditOptions options_;
  HistoryCheck& check_;
  const Journal& journal_;
  const JournalHistory& history_;
  const FileSystem& fs_;
  Places before_;
  std::vector<StaleBlock> stale_;
  std::vector<const StaleBlock*> descriptors_;  // whose newest versions are in the trials
  std::vector<LostWrite> lost_;
  std::unique_ptr<Trial> trial_, spare_;
};

// A log that waits and was not replayed holds what is newer than any history.
JournalHistory read_if_recovered(const Journal& journal, const AuditRun& run) {
  const JournalFacts& recovered = run.audit.recovery.journal;
  if (!journal.facts.usable || (recovered.flagged && !run.audit.recovery.replayed)) return {};
  return read_history(journal, run.fs, &recovered);
}

}  // namespace

HistorySource::HistorySource(const AuditRun& run, const AuditOptions& options)
    : journal(open_journal(run.fs, options.journal)), history(read_if_recovered(journal, run)),
      check(journal, history, run.fs, last_check(run.fs.super)) {}

Result<std::vector<LostWrite>> find_lost_writes(const AuditRun& run, const AuditOptions& options, HistorySource& source) {
  return Search(run, options, source).go();
}

}  // namespace extscrub
