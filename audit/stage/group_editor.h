// Frees blocks and inodes in an overlay: bits of bitmaps, the descriptors' counts, and the checksums of both. Touches
// only the groups that something is freed in, and none whose bitmap or descriptor is damaged: that would hide the damage.
// For one thread.
#pragma once

#include <map>
#include <set>

#include "scan/filesystem/file_system.h"

namespace extscrub {

class GroupEditor {
 public:
  // `fs`: read through the overlay, descriptors loaded.
  GroupEditor(const FileSystem& fs, Overlay& overlay) : fs_(fs), overlay_(overlay) {}

  // Whether the inode's bit is set; false for one whose bitmap cannot be believed.
  [[nodiscard]] bool in_use(InodeNo ino);

  // Frees the clusters of these blocks. False: a bitmap or descriptor is damaged, and its part was not freed.
  [[nodiscard]] Result<bool> free_blocks(BlockNo first, uint64_t count);
  [[nodiscard]] Result<bool> free_inode(InodeNo ino, bool directory);

  // Stages counts and checksums of all groups touched. To be called once, at the end.
  [[nodiscard]] Result<void> finish();

 private:
  struct Group {
    GroupDesc desc;
    bool blocks_sound = false, inodes_sound = false;  // the bitmap is where it can be, and its checksum matches
    bool blocks_touched = false, inodes_touched = false;
  };

  Group& group(GroupNo number);

  const FileSystem& fs_;
  Overlay& overlay_;
  std::map<GroupNo, Group> groups_;
};

}  // namespace extscrub
