// The quota files: the inodes that the superblock names for them, and what they say. A file whose entries are only wrong
// is changed in place; any other is written anew, with the limits that could be read.
#include <fmt/format.h>

#include <algorithm>

#include "audit/edit/inode_edit.h"
#include "audit/edit/quota_writer.h"
#include "audit/repair/repair.h"
#include "audit/stage/primary_superblock.h"
#include "audit/stage/quota_records.h"
#include "scan/quota/quota_file.h"

namespace extscrub {

namespace {

void name_quota_inode(ext2_super_block& s, QuotaType type, InodeNo ino) {
  switch (type) {
    case QuotaType::user: s.s_usr_quota_inum = ino.value; break;
    case QuotaType::group: s.s_grp_quota_inum = ino.value; break;
    case QuotaType::project: s.s_prj_quota_inum = ino.value; break;
  }
}

std::optional<QuotaType> type_of_field(std::string_view field) {
  for (const QuotaType type : kQuotaTypes)
    if (field == quota_field(type)) return type;
  return {};
}

bool begins_as_quota_file(RepairRound& round, QuotaType type, InodeNo ino) {
  return QuotaRecords(round.fs(), round.overlay, ino).is(type);
}

// An inode for the project quota file: the one that lost its number in the superblock, or a free one in a part of the
// tables that is in use.
InodeNo find_project_inode(RepairRound& round) {
  const Geometry& g = round.geometry();
  for (const Finding& f : round.findings.of(Problem::inode_unattached))
    if (f.inode && begins_as_quota_file(round, QuotaType::project, *f.inode)) return *f.inode;
  for (GroupNo group; group.value < g.groups; ++group)
    for (uint32_t i = 0; i < round.run.scan->tallies[group.value].scanned; ++i) {
      const InodeNo ino = g.group_first_inode(group) + i;
      if (ino.value >= g.first_inode && !round.run.scan->used.test(group, i)) return ino;
    }
  return {};
}

// The superblock names an inode that cannot be: the reserved one it should be is named instead. What is in the old one
// stays; its limits go to the new file where there is none yet.
Result<bool> name_other_inode(RepairRound& round, QuotaType type) {
  const InodeNo old = quota_inode(round.fs(), type);
  const InodeNo reserved = reserved_quota_inode(type);
  const InodeNo now = reserved ? reserved : find_project_inode(round);
  round.stale = true;
  const auto rename = [&] {
    return edit_primary_superblock(round.overlay, [&](ext2_super_block& s) { name_quota_inode(s, type, now); });
  };
  if (now && !begins_as_quota_file(round, type, now)) {
    const QuotaContents kept =
        begins_as_quota_file(round, type, old) ? read_quota_contents(round.fs(), type, old) : QuotaContents{};
    auto stored = store_quota_file(round, now, make_quota_file(type, kept));
    if (!stored) return stored;
    if (!*stored) return false;
  }
  if (auto r = rename(); !r) return std::unexpected(r.error());
  return true;
}

// Of another kind than a regular file: what it maps may still be the quota file.
Result<bool> make_regular(RepairRound& round, InodeNo ino) {
  round.stale = true;
  auto r = change_inode_base(round, ino, [&](ext2_inode& base) {
    base.i_mode = kHiddenFileMode;
    base.i_links_count = 1;
    base.i_dtime = 0;
    base.i_flags &= EXT4_EXTENTS_FL | EXT2_IMMUTABLE_FL;
  });
  if (!r) return std::unexpected(r.error());
  return true;
}

// False: some entry is missing, so that the file has to be written anew.
Result<bool> set_in_place(RepairRound& round, QuotaType type, const QuotaFileFacts& facts) {
  if (!facts.readable || !facts.defects.empty()) return false;
  QuotaRecords records(round.fs(), round.overlay, facts.inode);
  if (!records.is(type)) return false;
  const auto& usage = round.run.scan->usage.of(type);
  for (const auto& [id, used] : usage)
    if (used != Usage() && !std::ranges::binary_search(facts.entries, id, {}, &QuotaEntry::id)) return false;
  for (const QuotaEntry& e : facts.entries) {
    const auto it = usage.find(e.id);
    const Usage wanted = it == usage.end() ? Usage() : it->second;
    if (e.usage == wanted) continue;
    auto r = records.edit(e.id, [&](QuotaEntryR1& entry) {
      entry.space = wanted.space;
      entry.inodes = wanted.inodes;
      // All zeros is no entry: the kernel marks one that says nothing by a time.
      if (e.id == 0 && wanted == Usage() && !entry.block_time) entry.inode_time = std::max<uint64_t>(entry.inode_time, 1);
    });
    if (!r || !*r) return r;
  }
  return true;
}

Result<bool> write_anew(RepairRound& round, QuotaType type, const QuotaFileFacts& facts, const Finding& cause) {
  // A file with a name that is no quota file is somebody's: the superblock names it by mistake.
  if (facts.inode.value >= round.geometry().first_inode && has_name(round, facts.inode) &&
      !begins_as_quota_file(round, type, facts.inode))
    return name_other_inode(round, type);
  QuotaContents contents = read_quota_contents(round.fs(), type, facts.inode);
  set_usage(contents, round.run.scan->usage.of(type));
  const auto bytes = make_quota_file(type, contents);
  if (bytes.empty()) return false;
  auto stored = store_quota_file(round, facts.inode, bytes);
  if (stored && *stored && !facts.defects.empty())
    round.lose(cause, fmt::format("{} quota written anew: limits that could not be read are gone", name(type)));
  return stored;
}

// The project quota file has no name and no number of its own: where the superblock names what is none, it is the one that is.
Result<size_t> name_lost_project_file(RepairRound& round) {
  if (!round.geometry().has_ro_compat(EXT4_FEATURE_RO_COMPAT_QUOTA) ||
      !round.geometry().has_ro_compat(EXT4_FEATURE_RO_COMPAT_PROJECT))
    return 0;
  const InodeNo named = quota_inode(round.fs(), QuotaType::project);
  if (round.geometry().valid_inode(named) && begins_as_quota_file(round, QuotaType::project, named)) return 0;
  const auto unattached = round.findings.of(Problem::inode_unattached);
  const auto lost = [&](const Finding& f) {
    return f.inode && round.may(f.problem) && begins_as_quota_file(round, QuotaType::project, *f.inode);
  };
  const auto found = std::ranges::find_if(unattached, lost);
  if (found == unattached.end() || std::ranges::count_if(unattached, lost) > 1) return 0;
  auto r = edit_primary_superblock(round.overlay,
                                   [&](ext2_super_block& s) { name_quota_inode(s, QuotaType::project, *(*found).inode); });
  if (!r) return std::unexpected(r.error());
  (*found).repair = RepairState::staged;
  round.stale = true;
  return 1;
}

}  // namespace

Result<size_t> repair_quota_inodes(RepairRound& round) {
  const auto named = name_lost_project_file(round);
  if (!named || *named > 0) return named;
  size_t answered = 0;
  for (Finding& f : round.findings.of(Pass::quota_inodes)) {
    if (!round.may(f.problem)) continue;
    const auto type = type_of_field(f.field);
    auto r = type ? name_other_inode(round, *type) : f.inode ? make_regular(round, *f.inode) : Result<bool>(false);
    if (!r) return std::unexpected(r.error());
    if (!*r) continue;
    f.repair = RepairState::staged;
    ++answered;
  }
  return answered;
}

Result<size_t> repair_quota_files(RepairRound& round) {
  if (!round.lossy() && !all_was_seen(round)) return 0;  // usage may be hidden
  size_t answered = 0;
  for (const QuotaType type : kQuotaTypes) {
    const InodeNo ino = quota_inode(round.fs(), type);
    std::vector<Finding*> findings;
    for (Finding& f : round.findings.of(Pass::quota_files))
      if (!f.block && f.inode == ino) findings.push_back(&f);  // with a block, it is about attributes
    if (!ino || findings.empty()) continue;
    const QuotaFileFacts facts = read_quota_file(round.fs(), type);
    auto done = set_in_place(round, type, facts);
    // A file that cannot be read as a whole may lose limits.
    const bool whole = facts.readable && facts.defects.empty();
    if (done && !*done && round.may(whole ? Problem::quota_usage : Problem::quota_file))
      done = write_anew(round, type, facts, *findings.front());
    if (!done) return std::unexpected(done.error());
    if (!*done) continue;
    for (Finding* f : findings) f->repair = RepairState::staged;
    answered += findings.size();
  }
  return answered;
}

}  // namespace extscrub
