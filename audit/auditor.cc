#include "audit/auditor.h"

#include <fmt/format.h>
#include <tbb/enumerable_thread_specific.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <ctime>
#include <iterator>
#include <set>
#include <thread>

#include "audit/lost/lost_writes.h"
#include "audit/run/audit_run.h"
#include "audit/run/paths.h"
#include "scan/directory/directory_scan.h"
#include "scan/inodes/lost_inodes.h"
#include "scan/load/descriptor_evidence.h"
#include "scan/load/load_file_system.h"

namespace extscrub {

namespace {

// Findings made by many threads, each with a list of its own. What is among the first of all is among the first of its list,
// so that each may be limited by itself.
class FindingShards {
 public:
  explicit FindingShards(size_t most) : shards_(Findings(most)) {}
  Findings& local() { return shards_.local(); }
  void move_to(Findings& out) {
    for (Findings& shard : shards_) out.take(std::move(shard));
  }

 private:
  tbb::enumerable_thread_specific<Findings> shards_;
};

// Gives each inode to the rules while it is hot.
class InodeRules : public InodeSink {
 public:
  InodeRules(const FileSystem& fs, size_t most, HistoryCheck* history) : findings(most), fs_(fs), history_(history) {}
  void inode(const InodeFacts& facts) override { check_inode(fs_, facts, findings.local()); }
  void table(BlockNo first, Bytes blocks) override {
    if (history_) history_->look(first, blocks);
  }
  FindingShards findings;

 private:
  const FileSystem& fs_;
  HistoryCheck* history_;  // may be null
};

// The same for defects of directories.
class DirectoryRules : public DirectorySink {
 public:
  DirectoryRules(const FileSystem& fs, size_t most) : findings(most), fs_(fs) {}
  void entry(const EntryDefect& defect) override { check_entry(fs_, defect, findings.local()); }
  void index(InodeNo directory, const HtreeDefect& defect) override { check_htree(fs_, directory, defect, findings.local()); }
  FindingShards findings;

 private:
  const FileSystem& fs_;
};

// Attribute blocks, the inodes with attribute values, quota files: what can be judged once all inodes are known.
Result<void> check_shared(AuditRun& run, const AuditOptions& options) {
  const FileSystem& fs = run.fs;
  InodeScan& scan = *run.scan;
  Findings& findings = run.findings;
  FindingShards shards(options.max_findings);
  const auto take = [&](const EaBlockFacts& facts) { check_ea_block(fs, facts, shards.local()); };
  if (auto r = scan_ea_blocks(fs, scan, options.progress, take); !r) return r;
  shards.move_to(findings);
  for (const EaInodeFacts& facts : read_ea_inodes(fs, scan)) check_ea_inode(fs, facts, findings);
  for (const QuotaType type : kQuotaTypes)
    if (quota_inode(fs, type)) check_quota_file(fs, read_quota_file(fs, type), scan.usage, findings);
  check_needed_features(fs, scan, findings);
  return {};
}

ImageInfo describe(const FileSystem& fs) {
  const ext2_super_block& s = fs.super;
  const Geometry& g = fs.geometry;
  ImageInfo info;
  const auto& u = s.s_uuid;
  info.uuid = fmt::format("{:02x}{:02x}{:02x}{:02x}-{:02x}{:02x}-{:02x}{:02x}-{:02x}{:02x}-{:02x}", u[0], u[1], u[2], u[3], u[4],
                          u[5], u[6], u[7], u[8], u[9], fmt::join(u + 10, u + 16, ""));
  info.label.assign(reinterpret_cast<const char*>(s.s_volume_name), sizeof s.s_volume_name);
  info.label.resize(std::min(info.label.size(), info.label.find('\0')));
  info.features = feature_names(g.compat, g.incompat, g.ro_compat);
  info.block_size = g.block_size;
  info.cluster_size = g.block_size << g.cluster_bits;
  info.blocks = g.blocks;
  info.inodes = g.inodes;
  info.groups = g.groups;
  info.inode_size = g.inode_size;
  info.groups_per_desc_block = g.desc_per_block;
  info.superblock_block = fs.super_block.value;
  return info;
}

struct Totals {
  uint64_t free_clusters = 0, free_inodes = 0;
};

// Where not all inodes were seen, or others than the group's.
std::set<GroupNo> groups_in_doubt(const FileSystem& fs, const InodeScan& scan, const Findings& findings) {
  const auto was_found = [&](GroupNo group) {
    return std::ranges::any_of(fs.moved, [&](const MovedStructure& m) {
      return m.group == group && m.kind == MetadataKind::inode_table && !m.is_lost();
    });
  };
  std::set<GroupNo> groups;
  for (const ReadFailure& f : scan.failures) groups.insert(f.group);
  for (const Finding& f : findings)
    if (f.group && ((f.problem == Problem::group_inode_table_location && !was_found(*f.group)) ||
                    f.problem == Problem::group_metadata_overlap || f.problem == Problem::read_error))
      groups.insert(*f.group);
  return groups;
}

// Bitmaps and counts of all groups, each group by whichever thread comes to it.
Totals check_groups(const AuditRun& run, size_t most, Findings& findings) {
  const FileSystem& fs = run.fs;
  const InodeScan& scan = *run.scan;
  struct Worker {
    std::vector<std::byte> block;
    Findings findings;
    Totals totals;
  };
  const std::set<GroupNo> in_doubt = groups_in_doubt(fs, scan, findings);
  const InodeCounts counts = count_inodes(fs, scan);
  tbb::enumerable_thread_specific<Worker> workers(
      [&] { return Worker{std::vector<std::byte>(fs.geometry.block_size), Findings(most), {}}; });
  tbb::parallel_for(tbb::blocked_range<uint32_t>(0, fs.geometry.groups), [&](const auto& range) {
    Worker& w = workers.local();
    for (GroupNo group(range.begin()); group.value < range.end(); ++group) {
      const GroupTally& tally = scan.tallies[group.value];
      const GroupFacts facts = compare_group(fs, group, scan.claims, scan.used, scan.inode_bitmaps[group.value], w.block);
      check_group_desc(fs, group, tally, w.findings);
      check_group(fs, facts, tally, w.findings);
      if (!in_doubt.contains(group)) check_lost_inodes(group, count_lost_inodes(fs, scan, facts, counts), w.findings);
      w.totals.free_clusters += facts.blocks.counted_free;
      w.totals.free_inodes += facts.inodes.counted_free;
    }
  });
  Totals totals;
  for (Worker& w : workers) {
    findings.take(std::move(w.findings));
    totals.free_clusters += w.totals.free_clusters;
    totals.free_inodes += w.totals.free_inodes;
  }
  return totals;
}

// What is left of the names of those that are gone.
void look_for_lost_names(const AuditRun& run, Findings& findings) {
  std::set<GroupNo> groups;
  for (const Finding& f : findings)
    if (f.problem == Problem::inodes_lost) groups.insert(*f.group);
  if (!groups.empty()) check_lost_names(run.fs, find_lost_names(run.fs, *run.scan, groups), findings);
}

bool is_location(Problem p) {
  return p == Problem::group_block_bitmap_location || p == Problem::group_inode_bitmap_location ||
         p == Problem::group_inode_table_location;
}

// What a mount looks at before it replays the log, and refuses: the log cannot mend it. And descriptors that other evidence
// speaks against: whoever releases orphans goes by it, and stores what is right.
std::vector<Finding> check_stored(const FileSystem& fs) {
  Findings all;
  check_superblock(fs, all);
  for (GroupNo group; group.value < fs.geometry.groups; ++group)
    if (const GroupDesc& d = fs.groups[group.value]; d.readable && !d.checksum_ok) check_desc_checksum(fs, group, d, all);
  check_moved(fs, all);
  all.erase_if([](const Finding& f) {
    return !is_location(f.problem) && f.problem != Problem::superblock_checksum && f.problem != Problem::superblock_field &&
           f.problem != Problem::superblock_features && f.problem != Problem::group_desc_checksum;
  });
  return all.take_kept();
}

// Replays and releases in the overlay, and loads again what may have changed.
Result<void> recover_first(AuditRun& run, Overlay& overlay, const AuditOptions& options) {
  const std::vector<Finding> stored = check_stored(run.fs);
  auto recovery = recover(run.fs, overlay, {options.journal, options.replay_unflagged});
  if (!recovery) return std::unexpected(recovery.error());
  run.audit.recovery = std::move(*recovery);
  if (overlay.empty()) return {};
  auto fs = load_superblock(*run.fs.image, &overlay, {options.superblock, options.block_size});
  if (!fs) return std::unexpected(fs.error());
  run.fs = std::move(*fs);
  load_descriptors(run.fs);
  // What the log leaves as it was, the rules find again; made twice, it would count twice past the limit of findings.
  std::vector<Finding> gone;
  std::ranges::set_difference(stored, check_stored(run.fs), std::back_inserter(gone), comes_before);
  for (Finding& f : gone) run.findings.emplace_back() = std::move(f);
  return {};
}

// The directories, and what only all of them together show.
Result<void> check_directories(AuditRun& run, const AuditOptions& options) {
  DirectoryRules rules(run.fs, options.max_findings);
  auto scanned = scan_directories(run.fs, *run.scan, rules, options.progress);
  if (!scanned) return std::unexpected(scanned.error());
  run.directories = std::move(*scanned);
  const DirectoryScan& facts = run.directories;
  rules.findings.move_to(run.findings);
  check_connectivity(run.fs, *run.scan, facts, run.findings);
  check_links(run.fs, *run.scan, facts, run.findings);
  run.scan->bytes_read += facts.bytes_read;
  return {};
}

// What cannot be read, and whose it is.
Result<void> check_data(AuditRun& run, const AuditOptions& options) {
  std::vector<BlockRange> unreadable;
  if (options.unreadable) {
    unreadable = blocks_of(*options.unreadable, run.fs);
  } else if (options.data) {
    auto scanned = scan_data(run.fs, *run.scan, options.progress);
    if (!scanned) return std::unexpected(scanned.error());
    unreadable = std::move(scanned->unreadable);
    run.scan->bytes_read += scanned->bytes_read;
  }
  if (unreadable.empty()) return {};
  auto owners = find_owners(run.fs, *run.scan, blocks_in(unreadable), options.progress);
  if (!owners) return std::unexpected(owners.error());
  check_unreadable(run.fs, run.scan->directories, *owners, run.findings);
  return {};
}

// What lies behind the end of an image that is cut short, and what looks wrong only because of that.
Result<void> check_end(AuditRun& run, Progress* progress) {
  const FileSystem& fs = run.fs;
  if (!fs.end) return {};
  const std::vector<BlockRange> missing{{*fs.end, BlockNo(fs.geometry.blocks)}};
  auto owners = find_owners(fs, *run.scan, blocks_in(missing), progress);
  if (!owners) return std::unexpected(owners.error());
  check_missing(fs, *run.scan, *owners, run.findings);
  return {};
}

// All inodes. Once more where that shows bitmaps or inode tables to lie elsewhere: what is claimed depends on it.
Result<void> check_inodes(AuditRun& run, const AuditOptions& options, HistoryCheck* history) {
  FileSystem& fs = run.fs;
  for (bool again = false;; again = true) {
    InodeRules rules(fs, options.max_findings, history);
    auto scan = scan_inodes(fs, rules, options.progress);
    if (!scan) return std::unexpected(scan.error());
    run.scan = std::make_unique<InodeScan>(std::move(*scan));
    const auto claimed = again ? std::vector<ClaimedStructure>{} : claimed_structures(fs, *run.scan);
    if (!claimed.empty() && judge_claimed(fs, claimed)) continue;
    rules.findings.move_to(run.findings);
    return {};
  }
}

// Where so much is wrong that not all of it is known, nothing can be told from what goes away.
Result<void> check_history(AuditRun& run, const AuditOptions& options, HistorySource& source) {
  if (!source.history.transactions.empty()) run.log_head = source.history.transactions.back().log_end;
  run.audit.statistics.history = {source.history.transactions.size(), source.history.begin_seconds(), false};
  run.audit.statistics.history.compared = run.findings.size() < options.max_findings;
  if (!run.audit.statistics.history.compared) return {};
  auto lost = find_lost_writes(run, options, source);
  if (!lost) return std::unexpected(lost.error());
  run.lost = std::move(*lost);
  check_lost_writes(run.lost, run.findings);
  return {};
}

// With the feature shared_blocks files may share data, as such an image is only read; but not with what is no data.
void allow_shared_data(std::vector<Owner>& owners) {
  std::vector<BlockRange> others;  // merged, in order, as the owners are
  for (const Owner& o : owners) {
    if (o.use == Owner::Use::data) continue;
    const BlockNo end = o.first + o.count;
    if (!others.empty() && o.first <= others.back().end)
      others.back().end = std::max(others.back().end, end);
    else
      others.push_back({o.first, end});
  }
  std::erase_if(owners, [&](const Owner& o) {
    const auto r = std::ranges::upper_bound(others, o.first, {}, &BlockRange::end);
    return r == others.end() || r->first >= o.first + o.count;
  });
}

// `most`: how many findings are kept in the end.
Result<void> run_rules(AuditRun& run, const AuditOptions& options, size_t most) {
  Progress* const progress = options.progress;
  FileSystem& fs = run.fs;
  Findings& findings = run.findings;
  check_superblock(fs, findings);
  check_recovery(fs, run.audit.recovery, findings);
  check_clock(fs, static_cast<uint64_t>(std::time(nullptr)), findings);
  const std::vector<BackupFacts> backups = read_backups(fs);
  check_backups(fs, backups, findings);
  check_inode_tables(fs, backups, findings);
  check_resize_inode(fs, read_resize_inode(fs), findings);
  check_metadata_overlaps(fs.metadata, findings);
  check_quota_inodes(fs, findings);
  if (fs.geometry.has_incompat(EXT4_FEATURE_INCOMPAT_MMP)) check_mmp(fs, read_mmp(fs), findings);

  std::optional<HistorySource> history;
  if (options.history && options.replay && !fs.end) history.emplace(run, options);
  if (auto r = check_inodes(run, options, history ? &history->check : nullptr); !r) return r;
  check_moved(fs, findings);
  check_claimed(fs, *run.scan, findings);
  check_read_failures(run.scan->failures, findings);
  if (auto r = check_shared(run, options); !r) return r;
  if (run.scan->any_claimed_again) {
    auto owners = find_owners(fs, *run.scan, shared_blocks(fs.geometry, *run.scan), progress);
    if (!owners) return std::unexpected(owners.error());
    run.owners = std::move(*owners);
    if (fs.geometry.has_ro_compat(EXT4_FEATURE_RO_COMPAT_SHARED_BLOCKS)) allow_shared_data(run.owners);
    check_owners(fs, run.owners, findings);
  }
  if (auto r = check_directories(run, options); !r) return r;
  if (auto r = check_data(run, options); !r) return r;
  const Totals totals = check_groups(run, options.max_findings, findings);
  look_for_lost_names(run, findings);
  check_totals(fs, totals.free_clusters, totals.free_inodes, findings);
  if (auto r = check_end(run, progress); !r) return r;
  if (history)
    if (auto r = check_history(run, options, *history); !r) return r;
  findings.set_limit(most);

  AuditStatistics& stats = run.audit.statistics;
  uint64_t clusters = 0;
  for (GroupNo g; g.value < fs.geometry.groups; ++g) {
    clusters += fs.geometry.clusters(g);
    stats.directories += run.scan->tallies[g.value].directories;
    stats.inodes_in_use += run.scan->tallies[g.value].inodes_used;
  }
  stats.blocks_in_use = (clusters - totals.free_clusters) << fs.geometry.cluster_bits;
  stats.bytes_read = run.scan->bytes_read;
  run.audit.findings = findings.take_kept();
  run.audit.past = findings.take_counts();
  return add_paths(run, progress);
}

}  // namespace

std::string_view name(Verdict verdict) {
  switch (verdict) {
    case Verdict::clean: return "clean";
    case Verdict::recoverable: return "recoverable";
    case Verdict::repaired: return "repaired";
    case Verdict::damaged: return "damaged";
    case Verdict::errored: return "errored";
    case Verdict::unreadable: return "unreadable";
    case Verdict::not_audited: return "not-audited";
  }
  return "";
}

Verdict verdict_of(const std::vector<Finding>& findings, const std::vector<FindingCount>& past) {
  bool waiting = false;
  for (const Finding& f : findings) {
    if (info(f.problem).severity == Severity::error) return Verdict::damaged;
    waiting = waiting || f.problem == Problem::journal_needs_recovery || f.problem == Problem::orphans_to_release;
  }
  // What makes an image recoverable has no group, and so is never past the limit.
  if (std::ranges::any_of(past, [](const FindingCount& c) { return info(c.problem).severity == Severity::error; }))
    return Verdict::damaged;
  return waiting ? Verdict::recoverable : Verdict::clean;
}

Result<AuditRun> run_audit(const Image& image, Overlay* overlay, const AuditOptions& options) {
  const auto begin = std::chrono::steady_clock::now();
  AuditRun run;
  auto fs = load_superblock(image, overlay, {options.superblock, options.block_size});
  if (!fs) return std::unexpected(fs.error());
  run.fs = std::move(*fs);
  if (!overlay) {
    run.plain = std::make_unique<Overlay>(image, run.fs.geometry.block_size, options.overlay_memory);
    overlay = run.plain.get();
  }
  // Of an image that is cut short, check_missing() lets go of what the missing end explains, and what the journal's history
  // says goes by which findings go away. Neither can tell that of findings that are only counted, so more are kept until
  // then; not all, as memory has an end too.
  constexpr size_t kMostOfCut = 1'000'000, kMostForHistory = 100'000;
  AuditOptions rules = options;
  if (run.fs.end)
    rules.max_findings = std::max(options.max_findings, kMostOfCut);
  else if (options.history)
    rules.max_findings = std::max(options.max_findings, kMostForHistory);
  run.findings = Findings(rules.max_findings);
  run.fs.blocks = overlay;
  if (run.fs.end) overlay->set_end(*run.fs.end);
  load_descriptors(run.fs);
  if (options.replay)
    if (auto r = recover_first(run, *overlay, options); !r) return std::unexpected(r.error());
  run.audit.info = describe(run.fs);

  const unsigned jobs = options.jobs ? options.jobs : std::max(1u, std::thread::hardware_concurrency());
  tbb::global_control limit(tbb::global_control::max_allowed_parallelism, jobs);
  tbb::task_arena arena(static_cast<int>(jobs));
  if (auto r = arena.execute([&] { return run_rules(run, rules, options.max_findings); }); !r) return std::unexpected(r.error());

  sort_findings(run.audit.findings);
  run.audit.verdict = verdict_of(run.audit.findings, run.audit.past);
  run.audit.statistics.seconds = std::chrono::steady_clock::now() - begin;
  return run;
}

Result<Audit> audit(const Image& image, Overlay* overlay, const AuditOptions& options) {
  auto run = run_audit(image, overlay, options);
  if (!run) return std::unexpected(run.error());
  return std::move(run->audit);
}

}  // namespace extscrub
