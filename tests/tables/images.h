// The small sound images that the field tables work on, each made once a process, and where structures lie in them.
// Belongs to one thread.
#pragma once

#include "tests/tables/field_table.h"

namespace extscrub::test {

// What the files of the image are: /plain, /two and /three of a few blocks, /pieces with a map of many runs, /dir with some files
// and a directory /dir/sub, /many with an index, /link and /longlink, /pipe and /device; /plain has an attribute in the inode,
// /two one in a block.
[[nodiscard]] const TestImage& small_ext4();  // checksums, 64 bytes a descriptor, a journal
[[nodiscard]] const TestImage& small_ext4_32();  // uninit_bg, 32 bytes a descriptor
[[nodiscard]] const TestImage& small_plain();  // no checksums, extents
[[nodiscard]] const TestImage& small_ext3();  // maps of blocks, no checksums

// The options that make them small.
[[nodiscard]] std::vector<std::string> with_small_options(std::vector<std::string> options);
// Of another kind, with the same files.
[[nodiscard]] TestImage make_small_image(const std::vector<std::string>& mke2fs_options,
                                         const std::vector<std::string>& requests = {});

[[nodiscard]] Spot inode_spot(const TestImage& image, const std::string& path);
[[nodiscard]] Spot block_spot(const TestImage& image, const std::string& path, uint64_t logical);

// Seals, for tables.
void seal_superblock(const SealedSpot& at);
void seal_spot_inode(const SealedSpot& at);
void seal_index_root(const SealedSpot& at);
void seal_index_node(const SealedSpot& at);
// Of checksums of what belongs to the inode.
[[nodiscard]] uint32_t seed_of_owner(const SealedSpot& at);

}  // namespace extscrub::test
