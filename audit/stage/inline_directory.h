// A directory that lies in its inode: the parent's number and the first entries in i_block, more of them in the attribute
// system.data. Stateless: any thread.
#pragma once

#include <optional>

#include "scan/format/inode.h"

namespace extscrub {

struct InlineAreas {
  MutableBytes first;   // in i_block, behind the parent's number
  MutableBytes second;  // the attribute's value; may be empty
};

// Where the entries are, if the attribute is there.
[[nodiscard]] std::optional<InlineAreas> inline_areas(const Geometry& geometry, InodeNo ino, MutableBytes raw);

// Cuts the attribute's value to what entries can fill, and sets i_size by it. The inode is not sealed.
void mend_inline_size(const Geometry& geometry, InodeNo ino, MutableBytes raw);

// To be called when the second area was changed: its attribute keeps no hash any more, as none had one before ea_inode.
void drop_value_hash(const Geometry& geometry, InodeNo ino, MutableBytes raw);

// Takes the attribute and the flag away, and leaves i_block for an empty block map. The inode is not sealed.
void leave_inode(const Geometry& geometry, InodeNo ino, MutableBytes raw);

}  // namespace extscrub
