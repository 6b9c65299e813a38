#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "audit/lost/lost_writes.h"

namespace extscrub {

namespace {

std::string when(uint32_t sequence, uint64_t seconds) {
  return fmt::format("transaction {} of {:%Y-%m-%d %H:%M:%S} UTC", sequence, fmt::gmtime(static_cast<std::time_t>(seconds)));
}

std::string list(const std::vector<InodeNo>& inodes) {
  constexpr size_t kMost = 8;
  const size_t shown = std::min(inodes.size(), kMost);
  std::string text = fmt::format("{} {}", inodes.size() == 1 ? "inode" : "inodes",
                                 fmt::join(inodes.begin(), inodes.begin() + static_cast<ptrdiff_t>(shown), ", "));
  if (inodes.size() > shown) text += fmt::format(" and {} more", inodes.size() - shown);
  return text;
}

Problem problem_of(const LostWrite& lost) {
  switch (lost.evidence) {
    case LostWriteEvidence::misplaced: return Problem::metadata_block_misplaced;
    case LostWriteEvidence::time: return Problem::metadata_write_perhaps_lost;
    default: return Problem::metadata_write_lost;
  }
}

std::string found_in(const LostWrite& lost) {
  std::string text;
  if (lost.home)
    text = fmt::format("what belongs in block {}", *lost.home);
  else if (lost.belongs_to)
    text = fmt::format("what belongs to inode {}", lost.belongs_to);
  else if (lost.old_sequence)
    text = "what was there after " + when(*lost.old_sequence, lost.old_seconds);
  else
    text = "an older version";
  if (!lost.inodes.empty())
    text += fmt::format("; {} {}", list(lost.inodes),
                        lost.home                 ? "should be there"
                        : lost.inodes.size() == 1 ? "is older"
                                                  : "are older");
  return text;
}

std::string expected_in(const LostWrite& lost) {
  if (lost.logged) return "what the journal has of " + when(lost.sequence, lost.seconds);
  if (lost.source) return fmt::format("what lies in block {}", *lost.source);
  return "what nothing has any more";
}

}  // namespace

void check_lost_writes(const std::vector<LostWrite>& lost, Findings& findings) {
  const auto add = [&](const LostWrite& l, InodeNo inode) {
    Finding& f = findings.emplace_back();
    f.problem = problem_of(l);
    f.block = l.block;
    f.group = l.group;
    if (inode) f.inode = inode;
    f.evidence = Note{expected_in(l), found_in(l)};
  };
  for (const LostWrite& l : lost) {
    if (!l.content.empty() || l.inodes.empty()) {
      add(l, l.owner);
      continue;
    }
    for (const InodeNo inode : l.inodes) add(l, inode);
  }
}

Result<void> put_back(const LostWrite& lost, Overlay& overlay) {
  if (lost.content.empty()) return {};
  auto block = overlay.edit(lost.block);
  if (!block) return std::unexpected(block.error());
  std::ranges::copy(lost.content, block->begin());
  return {};
}

}  // namespace extscrub
