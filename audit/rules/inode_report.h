// Collects the findings about one inode. Belongs to one thread.
#pragma once

#include <fmt/format.h>

#include "audit/rules/rules.h"

namespace extscrub {

class InodeReport {
 public:
  InodeReport(GroupNo group, InodeNo inode, Findings& findings) : group_(group), inode_(inode), findings_(findings) {}

  Finding& add(Problem problem, std::string_view field = "") {
    Finding& f = findings_.emplace_back();
    f.problem = problem;
    f.group = group_;
    f.inode = inode_;
    f.field = field;
    return f;
  }
  void wrong(Problem problem, std::string_view field, std::string found, std::string expected = "") {
    add(problem, field).evidence = Note{std::move(expected), std::move(found)};
  }
  void flag(std::string what) { wrong(Problem::inode_flags, "i_flags", std::move(what)); }

 private:
  GroupNo group_;
  InodeNo inode_;
  Findings& findings_;
};

}  // namespace extscrub
