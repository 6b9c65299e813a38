// Damage to the fields of inodes.
#include <fmt/format.h>

#include "tests/damage/scenario.h"

namespace extscrub::test {

namespace {

using enum Problem;

// What a block map that is no longer read leaves behind.
const std::vector<Problem> kMapGone = {inode_blocks, inode_size, block_bitmap_mismatch, group_free_blocks,
                                       superblock_free_blocks};
const std::vector<Problem> kInodeGone = {block_bitmap_mismatch, group_free_blocks, superblock_free_blocks,
                                         inode_bitmap_mismatch, group_free_inodes, superblock_free_inodes,
                                         group_used_dirs,       inode_dtime_zero,  entry_inode_unused};

// Sets a field with debugfs, which seals the inode.
Place set_field(const TestImage& image, const std::string& file, std::string_view field, std::string_view value) {
  const uint32_t inode = image.inode_of(file);
  image.debugfs(fmt::format("sif <{}> {} {}", inode, field, value));
  return Place{.inode = inode};
}

const Scenario kInodeScenarios[] = {
    {inode_checksum, "owner of a file changed without sealing the inode", "ext4-1k",
     [](const TestImage& image) {
       const uint32_t inode = image.inode_of("/three");
       poke_inode(image, inode, &ext2_inode_large::i_uid, 7);
       return Place{.inode = inode};
     }},
    {inode_checksum, "small inode changed without being sealed", "ext4-i128",
     [](const TestImage& image) {
       const uint32_t inode = image.inode_of("/dir");
       poke_inode(image, inode, &ext2_inode_large::i_gid, 7);
       return Place{.inode = inode};
     }},
    {inode_checksum, "inode changed on an image with a checksum seed", "ext4-seed",
     [](const TestImage& image) {
       const uint32_t inode = image.inode_of("/link");
       poke_inode(image, inode, &ext2_inode_large::i_mtime, 7);
       return Place{.inode = inode};
     }},
    {inode_checksum, "inode that is not in use, and not as it was left", "ext4-1k",
     [](const TestImage& image) {
       const uint32_t inode = image.inode_of("/dir/file4");
       image.debugfs("rm /dir/file4");
       image.fill(image.inode_offset(inode), EXT2_GOOD_OLD_INODE_SIZE, std::byte{0});
       poke_inode(image, inode, &ext2_inode_large::i_gid, 7);
       return Place{.inode = inode};
     }},
    {inode_mode, "mode of a kind that does not exist", "ext2-1k",
     [](const TestImage& image) { return set_field(image, "/three", "mode", "0170644"); }, kMapGone},
    {inode_dtime_set, "file in use with a deletion time", "ext4-1k",
     [](const TestImage& image) { return set_field(image, "/dir/file4", "dtime", "12345"); }},
    {inode_dtime_zero, "deleted file without a deletion time", "ext4-1k",
     [](const TestImage& image) { return set_field(image, "/three", "links_count", "0"); }, kInodeGone},
    {inode_extra_isize, "extra fields larger than the inode", "ext4-plain",
     [](const TestImage& image) { return set_field(image, "/three", "extra_isize", "300"); }},
    {inode_extra_isize, "size of extra fields not a multiple of four", "ext4-plain",
     [](const TestImage& image) { return set_field(image, "/three", "extra_isize", "30"); }},
    {inode_flags,
     "inode with extents where the feature is off",
     "ext2-1k",
     [](const TestImage& image) { return set_field(image, "/three", "flags", "0x80000"); },
     {extent_header, inode_blocks, inode_size, block_bitmap_mismatch, group_free_blocks, superblock_free_blocks}},
    {inode_flags, "inline data where the feature is off", "ext4-plain",
     [](const TestImage& image) { return set_field(image, "/small", "flags", "0x10080000"); }, kMapGone},
    {inode_verity_unsupported,
     "file with fs-verity where the feature is off",
     "ext4-1k",
     [](const TestImage& image) { return set_field(image, "/three", "flags", "0x180000"); },
     {},
     true},
    {inode_field_nonzero, "fragment address is not zero", "ext2-1k",
     [](const TestImage& image) { return set_field(image, "/three", "faddr", "5"); }},
    {inode_special_blocks,
     "pipe with a size",
     "ext4-plain",
     [](const TestImage& image) { return set_field(image, "/pipe", "size", "5"); },
     {inode_size}},
    {inode_flags,
     "pipe with extents",
     "ext4-plain",
     [](const TestImage& image) { return set_field(image, "/pipe", "flags", "0x80000"); },
     {inode_special_blocks, extent_header}},
    {inode_symlink,
     "fast symbolic link without a size",
     "ext4-plain",
     [](const TestImage& image) { return set_field(image, "/link", "size", "0"); },
     {inode_size, indirect_out_of_range}},
    {inode_symlink,
     "symbolic link longer than its block",
     "ext2-1k",
     [](const TestImage& image) { return set_field(image, "/longlink", "size", "70000"); },
     {inode_size}},
    {inode_size_small, "file with blocks behind its end", "ext4-1k",
     [](const TestImage& image) { return set_field(image, "/three", "size", "1"); }},
    {inode_size, "file in its inode, longer than any", "ext4-inline",
     [](const TestImage& image) { return set_field(image, "/empty", "size", "0x7f000000000000"); }},
    {inode_size, "directory shorter than its blocks", "ext2-1k",
     [](const TestImage& image) { return set_field(image, "/many", "size", "1024"); }},
    {inode_blocks, "file with too many blocks counted", "ext4-1k",
     [](const TestImage& image) { return set_field(image, "/three", "blocks", "77"); }},
    {inode_blocks, "large file with no blocks counted", "ext2-1k",
     [](const TestImage& image) { return set_field(image, "/big", "blocks", "0"); }},
    {inode_blocks, "file on a bigalloc image counted in blocks", "ext4-bigalloc",
     [](const TestImage& image) { return set_field(image, "/small", "blocks", "2"); }},
    {inode_time, "access time before 1970 with epoch bits", "ext4-plain",
     [](const TestImage& image) {
       const uint32_t inode = image.inode_of("/three");
       poke_inode(image, inode, &ext2_inode_large::i_atime, 0x80000001);
       poke_inode(image, inode, &ext2_inode_large::i_atime_extra, 3);
       return Place{.inode = inode};
     }},
    {directory_without_blocks, "directory with an empty block map", "ext2-1k",
     [](const TestImage& image) { return set_field(image, "/dir/sub/deeper", "block[0]", "0"); }, kMapGone},
    {root_not_directory,
     "root inode is a regular file without blocks",
     "ext2-1k",
     [](const TestImage& image) {
       image.debugfs("sif / block[0] 0");
       return set_field(image, "/", "mode", "0100755");
     },
     {group_used_dirs, group_free_blocks, superblock_free_blocks, block_bitmap_mismatch, inode_blocks, inode_size,
      inode_unattached}},
    {root_inode,
     "root directory calls itself a regular file",
     "ext2-1k",
     [](const TestImage& image) { return set_field(image, "/", "mode", "0100755"); },
     {group_used_dirs, inode_size, inode_unattached}},
    {root_inode,
     "root directory without links",
     "ext4-1k",
     [](const TestImage& image) { return set_field(image, "/", "links_count", "0"); },
     {group_used_dirs}},
    {root_inode,
     "root directory without a type, marked as deleted",
     "ext4-inline",
     [](const TestImage& image) {
       image.debugfs("sif / mode 0");
       image.debugfs("sif / dtime 1700000000");
       return set_field(image, "/", "links_count", "0");
     },
     {group_used_dirs, orphan_lost}},
    {bad_blocks_list, "list of bad blocks names the inode table", "ext4-plain",
     [](const TestImage& image) {
       const auto block = static_cast<uint32_t>(image.inode_offset(EXT2_ROOT_INO) / image.block_size());
       image.poke(image.map_offset(EXT2_BAD_INO), block);
       return Place{.inode = EXT2_BAD_INO, .block = block};
     }},
    {bad_blocks_list, "list of bad blocks names group descriptors and the primary superblock", "ext2-1k",
     [](const TestImage& image) {
       image.debugfs("sif <1> block[0] 1");
       image.debugfs("sif <1> block[1] 2");
       image.debugfs("sif <1> blocks 4");
       return Place{.inode = EXT2_BAD_INO, .block = 2};
     }},
    {bad_blocks_again,
     "list of bad blocks names a block twice",
     "ext4-plain",
     [](const TestImage& image) {
       image.debugfs("sif <1> block[0] 25000");
       image.debugfs("sif <1> block[3] 25000");
       image.debugfs("sif <1> blocks 2");
       image.debugfs("setb 25000");
       return Place{.inode = EXT2_BAD_INO, .block = 25000};
     },
     {block_multiply_claimed, group_free_blocks, superblock_free_blocks}},
    {bad_blocks_again,
     "list of bad blocks names its own indirect block",
     "ext4-plain",
     [](const TestImage& image) {
       image.poke(image.offset(25000), std::array<uint32_t, 3>{25000, 25001, 25002});
       image.debugfs("sif <1> block[IND] 25000");
       image.debugfs("sif <1> blocks 6");
       image.debugfs("setb 25000 3");
       return Place{.inode = EXT2_BAD_INO, .block = 25000};
     },
     {block_multiply_claimed, group_free_blocks, superblock_free_blocks, inode_blocks}},
    {bad_blocks_inode, "bad-blocks inode with a mode", "ext4-plain",
     [](const TestImage& image) {
       image.debugfs("sif <1> mode 0100644");
       return Place{.inode = 1};
     }},
    {reserved_inode, "reserved inode with nothing but rights", "ext2-1k",
     [](const TestImage& image) {
       poke_inode(image, EXT2_UNDEL_DIR_INO, &ext2_inode_large::i_mode, 0040);
       return Place{.inode = EXT2_UNDEL_DIR_INO};
     }},
    {reserved_inode, "resize inode with nothing but rights", "ext4-metabg",
     [](const TestImage& image) {
       image.debugfs("sif <7> mode 040");
       return Place{.inode = EXT2_RESIZE_INO};
     }},
    {reserved_inode,
     "reserved inode is a character device",
     "ext4-plain",
     [](const TestImage& image) {
       image.debugfs("sif <9> mode 020644");
       image.debugfs("sif <9> links_count 1");
       return Place{.inode = 9};
     },
     {inode_special_blocks}},
    {quota_inode,
     "quota file is a directory",
     "ext4-quota",
     [](const TestImage& image) {
       image.debugfs("sif <3> mode 040600");
       return Place{.inode = 3};
     },
     {group_used_dirs, inode_size, reserved_inode, quota_file, directory_tail_missing, directory_record}},
    {ea_block_location,
     "attribute block behind the last block",
     "ext4-1k",
     [](const TestImage& image) { return set_field(image, "/three", "file_acl", "99999999"); },
     {inode_blocks}},
};

}  // namespace

std::span<const Scenario> inode_damage() { return kInodeScenarios; }

}  // namespace extscrub::test
