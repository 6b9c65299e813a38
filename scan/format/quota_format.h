// The records of a quota file as Linux writes it (fs/quota/quota_tree.c, quotaio_v2.h): blocks of 1 KiB. Block 0 holds the
// header; block 1 is the root of a tree of four levels, each of which takes one byte of the id, highest first, and holds
// 256 block numbers; below lie blocks of entries. All little-endian. Stateless: any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace extscrub {

inline constexpr uint32_t kQuotaBlock = 1024;  // bytes of a block of the tree
inline constexpr uint32_t kQuotaRoot = 1;      // the tree's first block; block 0 holds the header
inline constexpr unsigned kQuotaDepth = 4;     // levels of the tree: 8 bits of the id each
inline constexpr uint64_t kQuotaSizeMax = 1u << 31;
inline constexpr std::array<uint32_t, 3> kQuotaMagics = {0xd9c01f11, 0xd9c01927, 0xd9c03f14};  // by QuotaType

struct QuotaHeader {
  uint32_t magic, version;
  uint32_t block_grace, inode_grace, flags, blocks, free_block, free_entry;
};

// At the begin of a block of entries.
struct QuotaBlockHeader {
  uint32_t next_free, prev_free;
  uint16_t entries, pad1;
  uint32_t pad2;
};

// Version 0 (vfsv0): 32-bit limits.
struct QuotaEntryR0 {
  uint32_t id, inode_hard, inode_soft, inodes, block_hard, block_soft;
  uint64_t space, block_time, inode_time;
};

// Version 1 (vfsv1).
struct QuotaEntryR1 {
  uint32_t id, pad;
  uint64_t inode_hard, inode_soft, inodes, block_hard, block_soft, space, block_time, inode_time;
};
static_assert(sizeof(QuotaEntryR0) == 48 && sizeof(QuotaEntryR1) == 72 && sizeof(QuotaHeader) == 32 &&
              sizeof(QuotaBlockHeader) == 16);

}  // namespace extscrub
