// Changes of the primary superblock in an overlay. For one thread.
#pragma once

#include "scan/format/superblock.h"
#include "scan/image/overlay.h"

namespace extscrub {

// The primary superblock in the overlay, changed by `change` and sealed where it carries a checksum. One without its
// magic number is left alone.
template <class Change>
[[nodiscard]] Result<void> edit_primary_superblock(Overlay& overlay, Change&& change) {
  const uint32_t size = overlay.block_size();
  auto block = overlay.edit(BlockNo(kSuperblockOffset / size));
  if (!block) return std::unexpected(block.error());
  const size_t at = kSuperblockOffset % size;
  auto super = load<ext2_super_block>(*block, at);
  if (super.s_magic != EXT2_SUPER_MAGIC) return {};
  change(super);
  seal_superblock(super);
  store(*block, at, super);
  return {};
}

}  // namespace extscrub
