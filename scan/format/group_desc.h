// Group descriptors: decoded from either size (32 bytes, 64 and more), kept for all groups at once.
// Immutable after loading: any thread.
#pragma once

#include "scan/format/geometry.h"
#include "scan/format/ondisk.h"

namespace extscrub {

struct GroupDesc {
  BlockNo block_bitmap, inode_bitmap, inode_table;  // blocks; as stored, not checked
  uint32_t free_clusters = 0;                       // bg_free_blocks_count counts clusters
  uint32_t free_inodes = 0;
  uint32_t used_dirs = 0;
  uint32_t itable_unused = 0;  // inodes at the table's end that were never used
  uint32_t block_bitmap_csum = 0, inode_bitmap_csum = 0;
  uint16_t flags = 0;
  uint16_t checksum = 0;
  bool checksum_ok = true;  // or no checksum is kept
  bool readable = true;     // the block it lies in could be read

  // The flag is set and can be believed.
  [[nodiscard]] bool block_uninit() const { return checksum_ok && flags & EXT2_BG_BLOCK_UNINIT; }
  [[nodiscard]] bool inode_uninit() const { return checksum_ok && flags & EXT2_BG_INODE_UNINIT; }
};

// Decodes `raw` (desc_size bytes) and verifies its checksum. Without checksums in the file system the uninit flags and
// the unused count mean nothing; they are kept as stored all the same.
[[nodiscard]] GroupDesc decode_group_desc(const Geometry& geometry, const ext2_super_block& super, GroupNo group, Bytes raw);

// Stores the locations, counts, unused inodes, bitmap checksums and flags into `raw`, and seals it.
void encode_group_desc(const Geometry& geometry, const ext2_super_block& super, GroupNo group, const GroupDesc& desc,
                       MutableBytes raw);

}  // namespace extscrub
