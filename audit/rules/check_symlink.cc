#include "audit/rules/inode_report.h"

namespace extscrub {

void check_symlink(const FileSystem&, const InodeFacts& facts, Findings& findings) {
  if (!facts.symlink) return;
  const Inode& inode = facts.inode;
  const SymlinkFacts& target = *facts.symlink;
  InodeReport report(facts.group, inode.number(), findings);
  const auto wrong = [&](std::string what) { report.wrong(Problem::inode_symlink, "i_size", std::move(what)); };
  if (!target.readable) {
    report.add(Problem::read_error, "symbolic link").evidence = Unreadable{UnreadPart::symbolic_link, "its block"};
    return;
  }
  if (inode.size() == 0) return wrong("the target is empty");
  if (!target.empty_reason.empty()) return wrong(target.empty_reason);
  // Its length alone says that it lies in i_block.
  if (inode.is(EXT4_EXTENTS_FL) && inode.size() < inode.block_area().size())
    return wrong(fmt::format("a target of {} bytes in a block of its own", inode.size()));
  // The terminating zero needs a place too.
  if (target.length >= target.room) return wrong(fmt::format("the target of {} bytes does not end", target.length));
  if (target.length != inode.size()) wrong(fmt::format("the target has {} bytes, i_size is {}", target.length, inode.size()));
}

}  // namespace extscrub
