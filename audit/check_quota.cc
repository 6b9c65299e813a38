#include <algorithm>

#include "audit/inode_report.h"
#include "scan/quota_file.h"

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
    f.block = fs.super_block;
    f.field = quota_field(type);
    f.expected = reserved ? fmt::to_string(reserved) : fmt::format("{} to {}", g.first_inode, g.inodes);
    f.found = fmt::to_string(ino);
  }
}

void check_quota_file(const FileSystem& fs, const QuotaFileFacts& facts, const QuotaUsage& counted, Findings& findings) {
  const bool valid = fs.geometry.valid_inode(facts.inode);
  InodeReport report(valid ? fs.geometry.group_of(facts.inode) : GroupNo(), facts.inode, findings);
  for (const QuotaDefect& d : facts.defects) report.wrong(Problem::quota_file, d.field.c_str(), d.found, d.expected);
  if (!facts.readable) return;

  const auto& usage = counted.of(facts.type);
  const auto mismatch = [&](uint32_t id, const Usage& expected, std::string found) {
    report.wrong(Problem::quota_usage, "", std::move(found), fmt::format("{} {}: {}", name(facts.type), id, describe(expected)));
  };
  for (const QuotaEntry& e : facts.entries) {
    const auto it = usage.find(e.id);
    const Usage expected = it == usage.end() ? Usage() : it->second;
    if (e.usage != expected) mismatch(e.id, expected, describe(e.usage));
  }
  for (const auto& [id, expected] : usage)
    if (!std::ranges::binary_search(facts.entries, id, {}, &QuotaEntry::id)) mismatch(id, expected, "no entry");
}

}  // namespace extscrub
