// The checksums of metadata_csum and gdt_csum: one function a structure, which computes what the structure should carry.
// Verifying is comparing; sealing is storing. A structure's rule of what is covered stands here, or in the header of its own
// (superblock.h, journal_superblock.h, mmp_block.h), and nowhere else.
// Stateless: any thread.
#pragma once

#include "scan/format/geometry.h"
#include "scan/format/ondisk.h"
#include "scan/format/types.h"

namespace extscrub {

// bg_checksum of the raw descriptor (desc_size bytes): the low 16 bits of a CRC32C under metadata_csum, a CRC16 under
// gdt_csum (which starts from the UUID).
[[nodiscard]] uint16_t group_desc_checksum(const Geometry& geometry, const ext2_super_block& super, GroupNo group, Bytes raw);

// bg_{block,inode}_bitmap_csum over `bits` / 8 bytes of the bitmap block; 16 bits with 32-byte descriptors.
[[nodiscard]] uint32_t bitmap_checksum(const Geometry& geometry, Bytes bitmap, uint32_t bits);

// The seed of everything that belongs to an inode: its number and generation (both as stored, 32 bits).
[[nodiscard]] uint32_t inode_seed(const Geometry& geometry, InodeNo ino, uint32_t generation);

// i_checksum_lo (and _hi where i_extra_isize covers it) of a raw inode of inode_size bytes.
[[nodiscard]] uint32_t inode_checksum(const Geometry& geometry, InodeNo ino, Bytes raw);
// Whether the raw inode has room for, and claims to have, i_checksum_hi.
[[nodiscard]] bool has_checksum_hi(const Geometry& geometry, Bytes raw);
// The checksum as the inode carries it.
[[nodiscard]] uint32_t stored_inode_checksum(const Geometry& geometry, Bytes raw);
// No checksum is kept, or the inode's own is right. Only then is it sealed again behind a change, unless the change mends all of
// it: a wrong one is a finding of its own, which says that nothing in the inode can be relied on.
[[nodiscard]] bool fits_inode_checksum(const Geometry& geometry, InodeNo ino, Bytes raw);
// A checksum is kept, and vouches for the inode.
[[nodiscard]] inline bool is_vouched_for(const Geometry& geometry, InodeNo ino, Bytes raw) {
  return geometry.metadata_csum() && fits_inode_checksum(geometry, ino, raw);
}
// The number that the raw inode was sealed with, by running its checksum backwards: its own where the checksum fits. Other bytes
// than an inode's give any number. 0 where the inode has no 32 bits of checksum to tell by.
[[nodiscard]] InodeNo sealed_inode_number(const Geometry& geometry, Bytes raw);
void seal_inode(const Geometry& geometry, InodeNo ino, MutableBytes raw);

// et_checksum of an extent tree block: the header and eh_max entries, whatever is in use of them. `eh_max` must be in
// bounds for the block.
[[nodiscard]] uint32_t extent_block_checksum(uint32_t inode_seed, Bytes block);
// Byte offset of et_checksum in the block.
[[nodiscard]] size_t extent_tail_offset(Bytes block);
// The seed of the inode that et_checksum was made for. `eh_max` must leave room for it.
[[nodiscard]] uint32_t extent_block_seed(Bytes block);

// h_checksum of an extended attribute block: its number (64 bits), then the block with the field taken as zero.
[[nodiscard]] uint32_t ea_block_checksum(const Geometry& geometry, BlockNo block, Bytes bytes);
// The block that h_checksum was made for, if that is one of the first 2^32. Other bytes than an attribute block's give any
// number.
[[nodiscard]] BlockNo sealed_ea_block(const Geometry& geometry, Bytes bytes);

}  // namespace extscrub
