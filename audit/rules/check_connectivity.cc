// Whether the directories form one tree below the root, in which every `..` leads back.
#include <fmt/format.h>

#include <algorithm>

#include "audit/rules/rules.h"
#include "scan/filesystem/reserved_inodes.h"

namespace extscrub {

namespace {

Finding& add(const FileSystem& fs, Problem problem, InodeNo ino, Findings& findings) {
  Finding& f = findings.emplace_back();
  f.problem = problem;
  f.group = fs.geometry.group_of(ino);
  f.inode = ino;
  return f;
}

void check_dotdot(const FileSystem& fs, const Directory& d, Findings& findings) {
  const uint32_t parent = d.inode.value == EXT2_ROOT_INO ? EXT2_ROOT_INO : d.parent;
  if (parent == 0 || d.dotdot == 0 || d.dotdot == parent) return;
  Finding& f = add(fs, Problem::directory_dotdot_wrong, d.inode, findings);
  f.evidence = WrongNumber{parent, d.dotdot};
}

void check_lost_found(const FileSystem& fs, const InodeScan& scan, const DirectoryScan& facts, Findings& findings) {
  const DirectoryTable& table = scan.directories;
  const InodeNo ino = facts.lost_found;
  if (!ino) {
    add(fs, Problem::lost_found_missing, InodeNo(EXT2_ROOT_INO), findings);
    return;
  }
  const uint32_t index = table.find(ino);
  const auto wrong = [&](const char* what) { add(fs, Problem::lost_found_invalid, ino, findings).evidence = Note{"", what}; };
  if (index == table.directories.size())
    wrong("it is no directory");
  else if (table.directories[index].is(Directory::encrypted))
    wrong("it is encrypted");
}

// Mostly there is a finding already that says why it was not seen. No image is sound without it.
void check_missing_root(const FileSystem& fs, Findings& findings) {
  const auto is_error = [](const Finding& f) { return info(f.problem).severity == Severity::error; };
  if (std::ranges::any_of(findings, is_error)) return;
  add(fs, Problem::root_not_directory, InodeNo(EXT2_ROOT_INO), findings).evidence = Note{"", "it is not in use"};
}

}  // namespace

void check_connectivity(const FileSystem& fs, const InodeScan& scan, const DirectoryScan& facts, Findings& findings) {
  const DirectoryTable& table = scan.directories;
  const uint32_t root = table.find(InodeNo(EXT2_ROOT_INO));
  if (root == table.directories.size()) return check_missing_root(fs, findings);  // nothing has a way then
  for (const Directory& d : table.directories) {
    if (is_reserved(fs.geometry, d.inode) && d.inode.value != EXT2_ROOT_INO) continue;
    if (d.is(Directory::unconnected)) {
      Finding& f = add(fs, Problem::directory_unconnected, d.inode, findings);
      if (d.parent) f.evidence = Note{"", fmt::format("in a loop with directory {}", d.parent)};
    }
    check_dotdot(fs, d, findings);
  }
  for (const DirectoryLink& link : facts.extra_links) {
    Finding& f = add(fs, Problem::directory_linked_again, link.directory, findings);
    f.evidence = Note{fmt::format("an entry in directory {} only", table.directories[table.find(link.directory)].parent),
                      fmt::format("one more in directory {}", link.parent)};
  }
  // What the root's entries would have said is not known when they could not all be read.
  if (!table.directories[root].is(Directory::incomplete)) check_lost_found(fs, scan, facts, findings);
}

}  // namespace extscrub
