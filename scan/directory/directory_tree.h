// The tree that the directories form: one parent each, and the way from the root. Belongs to one thread.
#pragma once

#include "scan/directory/directory_facts.h"
#include "scan/inodes/directory_table.h"

namespace extscrub {

// Chooses each directory's parent among those that have an entry for it: the one that its `..` names, or else the first
// by number; `extra` then lists the others, sorted. Counts children, and flags what is not connected to the root.
void build_tree(DirectoryTable& table, std::vector<DirectoryLink>& extra);

}  // namespace extscrub
