// What the copies of the superblock and of the descriptors say, next to the ones that were gone by.
// Stateless: any thread.
#pragma once

#include <string>
#include <vector>

#include "scan/filesystem/file_system.h"

namespace extscrub {

struct BackupFacts {
  GroupNo group;
  BlockNo block;         // of the superblock copy
  std::string field;     // the first field that is off; empty when the copy could stand in for the primary
  std::string expected, found;
  // Only looked at in the first backup group, which a repair would take them from.
  std::vector<GroupNo> other_locations;  // groups whose copied descriptor names other places
};

[[nodiscard]] std::vector<BackupFacts> read_backups(const FileSystem& fs);

}  // namespace extscrub
