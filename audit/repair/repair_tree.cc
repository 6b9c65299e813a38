// The tree: what has too many entries loses some first; then every `..` and every directory without a way to it.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "audit/edit/directory_editor.h"
#include "audit/edit/lost_found.h"
#include "audit/repair/repair.h"

namespace extscrub {

namespace {

const Directory* find_directory(const RepairRound& round, InodeNo ino) {
  const DirectoryTable& table = round.run.scan->directories;
  const uint32_t index = table.find(ino);
  return index < table.directories.size() ? &table.directories[index] : nullptr;
}

// Entries of one directory that are one too many.
struct Surplus {
  Finding* finding = nullptr;
  InodeNo child;
  bool keep_first = false;  // the directory is the child's parent, and has more than one entry for it
};

bool may_connect(const RepairRound& round) {
  return round.may(Problem::directory_unconnected) && (round.lossy() || !names_may_be_hidden(round));
}

std::map<InodeNo, std::vector<Surplus>> find_surplus(RepairRound& round) {
  std::map<InodeNo, std::vector<Surplus>> by_parent;
  const bool opens_loops = may_connect(round);
  std::set<InodeNo> seen;  // a directory has a finding for each link too many; the first one answers them all
  for (Finding& f : round.findings.of(Pass::tree)) {
    const Directory* d = f.inode ? find_directory(round, *f.inode) : nullptr;
    if (!d) continue;
    // A loop is opened where it was found, so that the directory can go to lost+found.
    if (f.problem == Problem::directory_unconnected && d->parent && opens_loops)
      by_parent[InodeNo(d->parent)].push_back({&f, d->inode, false});
    if (f.problem != Problem::directory_linked_again || !round.may(f.problem) || !seen.insert(d->inode).second) continue;
    for (const DirectoryLink& link :
         std::ranges::equal_range(round.run.directories.extra_links, d->inode, {}, &DirectoryLink::directory))
      by_parent[link.parent].push_back({&f, d->inode, link.parent.value == d->parent});
  }
  return by_parent;
}

Result<size_t> clear_surplus(RepairRound& round, InodeNo parent, std::vector<Surplus>& surplus) {
  auto editor = DirectoryEditor::open(round, parent);
  if (!editor) return std::unexpected(editor.error());
  std::map<InodeNo, const Surplus*> children;
  for (const Surplus& s : surplus) children.try_emplace(s.child, &s);
  std::map<InodeNo, size_t> seen;
  std::vector<std::pair<const Finding*, std::string>> losses;
  editor->for_each([&](DirName& n) {
    const auto it = children.find(n.inode);
    if (it == children.end() || (seen[n.inode]++ == 0 && it->second->keep_first)) return;
    losses.emplace_back(it->second->finding, fmt::format("entry '{}' in directory {} cleared", n.name, parent));
    editor->changed(n);
    n.inode = InodeNo();
  });
  if (losses.empty()) return 0;
  auto stored = editor->store();
  if (!stored) return std::unexpected(stored.error());
  if (!*stored) return 0;
  for (const Surplus& s : surplus) s.finding->repair = RepairState::staged;
  for (auto& [finding, what] : losses) round.lose(*finding, std::move(what));
  round.stale = true;
  return surplus.size();
}

Result<size_t> set_parents(RepairRound& round) {
  size_t answered = 0;
  for (Finding& f : round.findings.of(Problem::directory_dotdot_wrong)) {
    if (!round.may(f.problem)) continue;
    auto set = set_dotdot(round, *f.inode, InodeNo(static_cast<uint32_t>(expected_number(f.evidence).value_or(0))));
    if (!set) return std::unexpected(set.error());
    if (!*set) continue;
    f.repair = RepairState::staged;
    round.stale = true;  // links were counted by it
    ++answered;
  }
  return answered;
}

Result<size_t> connect(RepairRound& round) {
  std::vector<Finding*> findings;
  std::vector<InodeNo> inodes;
  for (Finding& f : round.findings.of(Problem::directory_unconnected)) {
    if (!round.may(f.problem)) continue;
    const Directory* d = find_directory(round, *f.inode);
    if (!d || d->parent || round.awaited.contains(d->inode)) continue;
    findings.push_back(&f);
    inodes.push_back(d->inode);
  }
  auto attached = attach(round, inodes);
  if (!attached) return std::unexpected(attached.error());
  for (size_t i = 0; i < attached->names.size(); ++i) {
    if (auto r = set_dotdot(round, inodes[i], attached->lost_found); !r) return std::unexpected(r.error());
    findings[i]->repair = RepairState::staged;
    round.lose(*findings[i], fmt::format("directory named lost+found/{}", attached->names[i]));
    round.stale = true;
  }
  return attached->names.size();
}

}  // namespace

bool names_may_be_hidden(const RepairRound& round) {
  const InodeScan& scan = *round.run.scan;
  const auto hides = [](const Directory& d) { return d.is(Directory::incomplete); };
  if (!scan.failures.empty() || std::ranges::any_of(scan.directories.directories, hides)) return true;
  return std::ranges::any_of(round.findings.that_hide(Hidden::names),
                             [](const Finding& f) { return f.repair == RepairState::none; });
}

Result<size_t> repair_tree(RepairRound& round) {
  size_t answered = 0;
  for (auto& [parent, surplus] : find_surplus(round)) {
    auto n = clear_surplus(round, parent, surplus);
    if (!n) return n;
    answered += *n;
  }
  if (round.stale) return answered;
  auto set = set_parents(round);
  if (!set) return set;
  if (!may_connect(round)) return answered + *set;
  auto connected = connect(round);
  if (!connected) return connected;
  return answered + *set + *connected;
}

}  // namespace extscrub
