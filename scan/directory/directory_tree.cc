#include "scan/directory/directory_tree.h"

#include <algorithm>

namespace extscrub {

namespace {

void settle_parents(DirectoryTable& table, std::vector<DirectoryLink>& extra) {
  std::ranges::sort(extra);
  for (DirectoryLink& link : extra) {
    Directory& d = table.directories[table.find(link.directory)];
    const uint32_t other = link.parent.value;
    if (d.parent != d.dotdot && (other == d.dotdot || other < d.parent)) std::swap(d.parent, link.parent.value);
  }
  std::ranges::sort(extra);
}

void count_children(DirectoryTable& table) {
  for (const Directory& d : table.directories) {
    if (d.inode.value == EXT2_ROOT_INO) continue;
    // One without a parent still counts in the directory that its `..` names, until it is moved to lost+found.
    const uint32_t parent = table.find(InodeNo(d.parent ? d.parent : d.dotdot));
    if (parent < table.directories.size()) ++table.directories[parent].children;
  }
}

// Walks up from every directory until it comes to the root, to a known one, or to where it began.
void flag_unconnected(DirectoryTable& table) {
  enum State : uint8_t { unknown, on_the_way, connected, adrift };
  const size_t count = table.directories.size();
  std::vector<uint8_t> states(count);
  if (const uint32_t root = table.find(InodeNo(EXT2_ROOT_INO)); root < count) states[root] = connected;
  std::vector<uint32_t> way;
  for (uint32_t i = 0; i < count; ++i) {
    way.clear();
    uint32_t at = i;
    while (at < count && states[at] == unknown) {
      states[at] = on_the_way;
      way.push_back(at);
      at = table.directories[at].parent ? table.find(InodeNo(table.directories[at].parent)) : static_cast<uint32_t>(count);
    }
    const uint8_t result = at < count && states[at] == connected ? connected : adrift;
    if (result == adrift && !way.empty()) {
      if (at == count) {
        table.directories[way.back()].flags |= Directory::unconnected;
      } else if (states[at] == on_the_way) {
        // A loop: the one with the lowest number stands for it.
        const auto begin = std::ranges::find(way, at);
        table.directories[*std::min_element(begin, way.end())].flags |= Directory::unconnected;
      }
    }
    for (const uint32_t d : way) {
      states[d] = result;
      if (result == adrift) table.directories[d].flags |= Directory::adrift;
    }
  }
}

}  // namespace

void build_tree(DirectoryTable& table, std::vector<DirectoryLink>& extra) {
  settle_parents(table, extra);
  count_children(table);
  flag_unconnected(table);
}

}  // namespace extscrub
