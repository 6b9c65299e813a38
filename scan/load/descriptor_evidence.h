// Which of several copies of a group descriptor is the truth: decided where there is doubt about one of its places, by what
// lies there, by checksums and by the backups. For one thread.
#pragma once

#include "scan/filesystem/file_system.h"

namespace extscrub {

// Puts the places that evidence speaks for into fs.groups, and notes down in fs.moved which of the stored ones that changes,
// and in fs.undecided which groups' places no evidence speaks for although a backup names others.
// `fs`: descriptors as stored, laid out in its metadata map, which becomes that of the places found. A group is in doubt where
// its descriptor's checksum is wrong, a place cannot be, two structures lie on one block, or the first backup names another
// place: elsewhere nothing is read.
void judge_descriptors(FileSystem& fs);

// Moves those that are found elsewhere, and takes the others that are taken off their blocks; returns whether there were any.
bool judge_claimed(FileSystem& fs, const std::vector<ClaimedStructure>& claimed);

}  // namespace extscrub
