// i_links_count against the entries found.
#include <fmt/format.h>

#include "audit/rules/rules.h"

namespace extscrub {

namespace {

constexpr uint32_t kMostLinks = EXT2_LINK_MAX;  // a directory with more has a count of 1 (dir_nlink)

void add(const FileSystem& fs, Problem problem, InodeNo ino, uint32_t expected, uint32_t found, Findings& findings) {
  Finding& f = findings.emplace_back();
  f.problem = problem;
  f.group = fs.geometry.group_of(ino);
  f.inode = ino;
  f.field = "i_links_count";
  f.evidence = WrongNumber{expected, found};
}

// The kernel leaves a count of 1 as it is when the subdirectories go away again: of such a directory they are not counted.
bool may_have_been_full(const FileSystem& fs, const Directory& d) {
  return d.links == 1 && fs.geometry.has_ro_compat(EXT4_FEATURE_RO_COMPAT_DIR_NLINK) && d.is(Directory::indexed);
}

void check_directory_links(const FileSystem& fs, const Directory& d, Findings& findings) {
  const uint32_t counted = 2 + d.children;  // its own entry, its `.`, and their `..`
  const uint32_t expected = counted > kMostLinks ? 1 : counted;
  if (counted > kMostLinks && !fs.geometry.has_ro_compat(EXT4_FEATURE_RO_COMPAT_DIR_NLINK)) {
    add(fs, Problem::feature_dir_nlink, d.inode, expected, d.links, findings);
    findings.back().field = "s_feature_ro_compat";
    findings.back().evidence = Note{"dir_nlink", fmt::format("{} subdirectories", d.children)};
  }
  if (d.links == expected || may_have_been_full(fs, d)) return;
  add(fs, Problem::inode_links, d.inode, expected, d.links, findings);
}

}  // namespace

void check_links(const FileSystem& fs, const InodeScan& scan, const DirectoryScan& facts, Findings& findings) {
  for (const Directory& d : scan.directories.directories)
    if (d.inode.value >= fs.geometry.first_inode || d.inode.value == EXT2_ROOT_INO) check_directory_links(fs, d, findings);
  // Without a root nothing has a name, and that is a finding already.
  const bool root = scan.directories.find(InodeNo(EXT2_ROOT_INO)) < scan.directories.directories.size();
  for (const LinkFacts& f : facts.links)
    if (root || f.found > 0)
      add(fs, f.found == 0 ? Problem::inode_unattached : Problem::inode_links, f.inode, f.found, f.links, findings);
}

}  // namespace extscrub
