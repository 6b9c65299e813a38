// After all entries have been seen: the inodes whose i_links_count is not what was found. Belongs to one thread.
#pragma once

#include "scan/directory/directory_facts.h"
#include "scan/inodes/inode_scan.h"

namespace extscrub {

// `excess`: sorted; one element a reference to an inode that had no links left.
[[nodiscard]] std::vector<LinkFacts> wrong_links(const FileSystem& fs, const InodeScan& scan, const std::vector<InodeNo>& excess);

}  // namespace extscrub
