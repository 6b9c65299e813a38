// The parts of repair_inodes(), for one inode each: they change its bytes in the overlay, and leave the sealing to it.
// For one thread.
#pragma once

#include "audit/repair/repair.h"
#include "scan/filesystem/inode_table.h"

namespace extscrub {

struct InodeAtWork {
  RepairRound& round;
  InodeNo ino;
  MutableBytes raw;  // its bytes in the overlay

  // As the bytes are now.
  [[nodiscard]] Inode inode() const { return Inode(round.geometry(), ino, raw); }
  void set_mode(uint16_t mode) const { store(raw, offsetof(ext2_inode, i_mode), mode); }
  void set_flags(uint32_t flags) const { store(raw, offsetof(ext2_inode, i_flags), flags); }
  void set_size(uint64_t size) const;
};

// Makes the inode one that is not in use, as a deletion would: its names go with a later repair.
void clear_inode(const InodeAtWork& work);

// Turns features on in the superblock; one of revision 0, which has none, becomes one of revision 1.
[[nodiscard]] Result<void> turn_on_features(Overlay& overlay, uint32_t incompat, uint32_t ro_compat);

// Flags: those without their feature go; whether there is an extent tree or inline data, the contents tell.
[[nodiscard]] Result<void> mend_flags(const InodeAtWork& work);

// A symbolic link: its size follows from its target; without a target it is cleared. False: its map comes first.
[[nodiscard]] Result<bool> mend_symlink(const InodeAtWork& work, const Finding& cause, bool map_damaged);

// The list of bad blocks: what the file system is read through goes off it.
[[nodiscard]] Result<void> mend_bad_blocks_list(const InodeAtWork& work);

// An empty directory in place of what the inode was: `.` and `..` in one new block. False: there is no space for it.
[[nodiscard]] Result<bool> make_directory(const InodeAtWork& work, InodeNo parent);

// The first block mapped begins with `.` for this inode, and `..`.
[[nodiscard]] bool holds_directory(const InodeAtWork& work);

}  // namespace extscrub
