// Whether bytes can be the block that an inode has in some place: for blocks of directories, of block maps, of extended
// attributes and of long symbolic links: what the kernel writes through the journal. With metadata checksums that is proof of the
// owner; without, it is a matter of form. Stateless: any thread.
#pragma once

#include "scan/inodes/owners.h"

namespace extscrub {

// `owner`: of the block, one block of it; `inode`: the owner. `bytes`: one block. False for what is no metadata.
[[nodiscard]] bool fits_owner(const FileSystem& fs, const Owner& owner, const Inode& inode, Bytes bytes);

// What the checksum in a block was made for, told by the form of the block: an inode, or a place.
struct SealedFor {
  std::optional<uint32_t> seed;  // inode_seed() of whose directory or extent tree it is
  BlockNo block;  // where extended attributes belong; 0 for what are none
};
// For metadata_csum.
[[nodiscard]] SealedFor sealed_for(const Geometry& geometry, Bytes bytes);

}  // namespace extscrub
