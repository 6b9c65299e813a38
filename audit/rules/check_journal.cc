// The journal and the orphans: what the recovery met.
#include <fmt/format.h>

#include <utility>

#include "audit/rules/rules.h"

namespace extscrub {

namespace {

Problem problem_of(JournalDefectKind kind) {
  using enum JournalDefectKind;
  switch (kind) {
    case inode_invalid:
    case inode_map:
    case backup_map_used: return Problem::journal_inode_missing;
    case device_missing: return Problem::journal_device_missing;
    case device_invalid:
    case device_uuid: return Problem::journal_device;
    case checksum: return Problem::journal_superblock_checksum;
    case not_empty: return Problem::journal_not_empty;
    case descriptor_checksum:
    case revoke_checksum:
    case commit_checksum:
    case block_checksum:
    case fast_commit_checksum: return Problem::journal_checksum;
    case unreadable:
    case target:
    case revoke_count:
    case endless:
    case fast_commit_tag:
    case fast_commit_replay: return Problem::journal_log;
    default: return Problem::journal_superblock;
  }
}

std::string number(JournalDefectKind kind, uint64_t value) {
  using enum JournalDefectKind;
  switch (kind) {
    case inode_invalid: return fmt::format("mode {:o}", value);
    case magic:
    case unknown_features:
    case checksum:
    case block_checksum:
    case fast_commit_checksum: return fmt::format("{:#010x}", value);
    default: return fmt::to_string(value);
  }
}

void report(const JournalDefect& d, const JournalFacts& journal, Findings& findings) {
  Finding& f = findings.emplace_back();
  f.problem = problem_of(d.kind);
  if (journal.inode) f.inode = journal.inode;
  f.field = name(d.kind);
  if (d.sequence != 0) {
    f.logical = d.log_block;
    f.field = fmt::format("transaction {}, {}", d.sequence, name(d.kind));
  }
  if (d.expected != 0 || d.found != 0) {
    f.evidence = Note{number(d.kind, d.expected), number(d.kind, d.found)};
  }
}

std::string_view reason(OrphanDefectKind kind) {
  using enum OrphanDefectKind;
  switch (kind) {
    case out_of_range: return "not an inode for files";
    case unsealed: return "the inode's checksum does not match";
    case not_in_use: return "the inode is not in use";
    case loop: return "named before";
    case no_file: return "its mode is of no kind of file";
    case dangerous: return "its map cannot be followed";
    case file_inode: return "not a regular file of whole blocks";
    case file_block: return "a block without its magic number";
    case file_checksum: return "a block whose checksum does not match";
    case no_journal: return "there is no journal";
    case metadata: return "a bitmap or descriptor that the release needs is damaged";
  }
  return "";
}

void report(const OrphanDefect& d, Findings& findings) {
  Finding& f = findings.emplace_back();
  const bool file = d.kind == OrphanDefectKind::file_inode || d.kind == OrphanDefectKind::file_block ||
                    d.kind == OrphanDefectKind::file_checksum || d.kind == OrphanDefectKind::no_journal;
  f.problem = file ? Problem::orphan_file : Problem::orphan_list;
  if (d.inode) f.inode = d.inode;
  if (d.block) f.block = d.block;
  f.evidence = Note{"", std::string(reason(d.kind))};
}

}  // namespace

void check_recovery(const FileSystem& fs, const Recovery& recovery, Findings& findings) {
  const JournalFacts& journal = recovery.journal;
  for (const JournalDefect& d : journal.defects) report(d, journal, findings);
  // The journal's own flag for it is set by the first mount, which fails.
  if (journal.usable && !journal.fast_commits_fit && fs.geometry.has_compat(EXT4_FEATURE_COMPAT_FAST_COMMIT)) {
    Finding& f = findings.emplace_back();
    f.problem = Problem::superblock_features;
    f.block = fs.super_at();
    f.evidence = Note{"", "fast_commit is set, but the journal is too short for it"};
  }
  // The file also when nothing was released; what the release has met already is folded with it.
  Findings orphans;
  for (const OrphanDefect& d : recovery.orphans.defects) report(d, orphans);
  for (const OrphanDefect& d : check_orphan_file(fs)) report(d, orphans);
  for (Finding& f : orphans.take_kept()) findings.emplace_back() = std::move(f);
  if (recovery.replayed) {
    Finding& f = findings.emplace_back();
    f.problem = Problem::journal_needs_recovery;
    f.block = fs.super_at();
    std::string what = fmt::format("{} transactions, {} blocks", journal.transactions, journal.replayed_blocks);
    if (journal.fast_commit_tags > 0) what += fmt::format(", {} records of fast commits", journal.fast_commit_tags);
    f.evidence = Note{"", std::move(what)};
  }
  if (journal.error != 0) {
    Finding& f = findings.emplace_back();
    f.problem = Problem::journal_error;
    if (journal.inode) f.inode = journal.inode;
    f.field = "s_errno";
    f.evidence = Note{"", fmt::to_string(journal.error)};
  }
  if (recovery.orphans.processed) {
    Finding& f = findings.emplace_back();
    f.problem = Problem::orphans_to_release;
    f.block = fs.super_at();
    f.evidence = Note{"", fmt::format("{} orphans: {} deleted, {} cut", recovery.orphans.listed, recovery.orphans.deleted,
                                      recovery.orphans.truncated)};
  }
}

}  // namespace extscrub
