// Inode tables whose descriptor names a place that can be one and is none: whoever goes by it sees inodes in what are a
// file's contents, and loses all that the group has.
#include <fmt/format.h>

#include <optional>
#include <set>

#include "audit/catalogue/field.h"
#include "audit/rules/rules.h"
#include "scan/filesystem/inode_table.h"
#include "scan/filesystem/table_search.h"

namespace extscrub {

namespace {

// The groups for which there is reason to look: reading all tables once more would take as long as the scan.
std::set<GroupNo> doubtful_groups(const FileSystem& fs, const std::vector<BackupFacts>& backups) {
  const Geometry& g = fs.geometry;
  std::set<GroupNo> groups;
  for (GroupNo group; group.value < g.groups; ++group)
    if (const GroupDesc& d = fs.groups[group.value]; d.readable && g.group_csum() && !d.checksum_ok) groups.insert(group);
  for (const BackupFacts& b : backups) groups.insert(b.other_locations.begin(), b.other_locations.end());
  if (!has_root(fs)) groups.insert(GroupNo());
  return groups;
}

}  // namespace

void check_inode_tables(const FileSystem& fs, const std::vector<BackupFacts>& backups, Findings& findings) {
  const Geometry& g = fs.geometry;
  std::optional<std::vector<std::vector<GroupDesc>>> copies;  // looked for once, when there is a need
  for (const GroupNo group : doubtful_groups(fs, backups)) {
    const BlockNo at = fs.groups[group.value].inode_table;
    if (!valid_location(g, group, at, g.itable_blocks) || looks_like_table(fs, group, at)) continue;
    if (!copies) copies = descriptor_copies(fs);
    const auto found = find_table(fs, group, *copies);
    if (!found) continue;
    Finding& f = findings.emplace_back();
    f.problem = Problem::group_inode_table_location;
    f.group = group;
    f.field = field::bg_inode_table;
    f.block = at;
    f.evidence = WrongNumber{found->value, at.value, Radix::decimal, false, ", where there is no inode table"};
  }
}

}  // namespace extscrub
