// Whether bytes can be the block that an inode has in some place: for blocks of directories, of block maps, of extended attributes
// and of long symbolic links: what the kernel writes through the journal. With metadata checksums that is proof of the owner; without, it is a matter of form.
// Stateless: any thread.
#pragma once

#include "scan/owners.h"

namespace extscrub {

// `owner`: of the block, one block of it; `inode`: the owner. `bytes`: one block. False for what is no metadata.
[[nodiscard]] bool fits_owner(const FileSystem& fs, const Owner& owner, const Inode& inode, Bytes bytes);

}  // namespace extscrub
