#include <algorithm>

#include "audit/rules/inode_report.h"
#include "scan/quota/quota_file.h"

namespace extscrub {

namespace {

std::string describe(const Usage& usage) { return fmt::format("{} bytes, {} inodes", usage.space, usage.inodes); }

}  // namespace

void check_quota_inodes(const FileSystem& fs, Findings& findings) {
  const Geometry& g = fs.geometry;
  for (const QuotaType type : kQuotaTypes) {
    const InodeNo ino = quota_inode(fs, type), reserved = reserved_quota_inode(type);
    if (!ino || ino == reserved) continue;
    const bool for_files = ino.value >= g.first_inode && ino.value <= g.inodes;
    if (for_files && !reserved) continue;
    Finding& f = findings.emplace_back();
    // In an inode for files, as old tools left them: current kernels do not turn quotas on.
    f.problem = for_files ? Problem::quota_inode_visible : Problem::quota_inode;
    f.block = fs.super_at();
    f.field = quota_field(type);
    f.evidence =
        Note{reserved ? fmt::to_string(reserved) : fmt::format("{} to {}", g.first_inode, g.inodes), fmt::to_string(ino)};
  }
}

void check_quota_file(const FileSystem& fs, const QuotaFileFacts& facts, const QuotaUsage& counted, Findings& findings) {
  const bool valid = fs.geometry.valid_inode(facts.inode);
  InodeReport report(valid ? fs.geometry.group_of(facts.inode) : GroupNo(), facts.inode, findings);
  for (const QuotaDefect& d : facts.defects) report.wrong(Problem::quota_file, d.field.c_str(), d.found, d.expected);
  if (!facts.readable) return;

  const auto& usage = counted.of(facts.type);
  const auto compare = [&](uint32_t id, const Usage& expected, const Usage& stored, const std::string& found) {
    if (stored == expected) return;
    const bool by_e2fsck = stored == expected - counted.inline_symlinks(facts.type, id);
    report.wrong(by_e2fsck ? Problem::inline_symlink_uncounted : Problem::quota_usage, "", found,
                 fmt::format("{} {}: {}", name(facts.type), id, describe(expected)));
  };
  for (const QuotaEntry& e : facts.entries) {
    const auto it = usage.find(e.id);
    compare(e.id, it == usage.end() ? Usage() : it->second, e.usage, describe(e.usage));
  }
  for (const auto& [id, expected] : usage)
    if (!std::ranges::binary_search(facts.entries, id, {}, &QuotaEntry::id)) compare(id, expected, Usage(), "no entry");
}

}  // namespace extscrub
