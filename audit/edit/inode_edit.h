// Changes of one inode in the overlay, for repairs that touch a part of it. For one thread.
#pragma once

#include "audit/edit/round.h"
#include "scan/filesystem/inode_table.h"
#include "scan/format/checksum.h"

namespace extscrub {

inline constexpr uint16_t kHiddenFileMode = 0100600;  // i_mode of the file system's own files: regular, for the owner

// Calls change(raw) and seals the inode where it was sealed before (fits_inode_checksum), or with `anyway`.
template <class Change>
[[nodiscard]] Result<void> change_inode(RepairRound& round, InodeNo ino, Change&& change, bool anyway = false) {
  const Geometry& g = round.geometry();
  auto raw = edit_inode(round.fs(), round.overlay, ino);
  if (!raw) return std::unexpected(raw.error());
  const bool sealed = anyway || fits_inode_checksum(g, ino, *raw);
  change(*raw);
  if (sealed) seal_inode(g, ino, *raw);
  return {};
}

// The same with the first 128 bytes of it.
template <class Change>
[[nodiscard]] Result<void> change_inode_base(RepairRound& round, InodeNo ino, Change&& change) {
  return change_inode(round, ino, [&](MutableBytes raw) {
    auto base = load<ext2_inode>(raw);
    change(base);
    store(raw, 0, base);
  });
}

// A name leads to the inode, which is in use; or it is a directory.
[[nodiscard]] bool has_name(const RepairRound& round, InodeNo ino);

// Something else uses the block too.
[[nodiscard]] bool is_shared(const RepairRound& round, BlockNo block);

}  // namespace extscrub
