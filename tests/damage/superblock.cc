// Damage to the superblock, its backups, and the inodes it names.
#include <fmt/format.h>

#include <cstddef>

#include "tests/damage/scenario.h"

namespace extscrub::test {

namespace {

template <class T>
void poke_superblock(const TestImage& image, T ext2_super_block::* field, auto value, uint64_t block_offset = 0) {
  image.patch<ext2_super_block>(block_offset ? block_offset : kSuperblockOffset,
                                [&](ext2_super_block& super) { super.*field = static_cast<T>(value); });
}

uint64_t backup_offset(const TestImage& image, uint32_t group) {
  const ext2_super_block super = image.superblock();
  return image.offset(super.s_first_data_block + uint64_t{group} * super.s_blocks_per_group);
}

// The doubly indirect block of the resize inode, and the first of the blocks that it lists.
uint64_t resize_list(const TestImage& image) {
  return image.offset(image.peek<uint32_t>(image.map_offset(EXT2_RESIZE_INO) + EXT2_DIND_BLOCK * sizeof(uint32_t)));
}
uint64_t first_reserved(const TestImage& image) {
  uint64_t at = resize_list(image);
  while (image.peek<uint32_t>(at) == 0) at += sizeof(uint32_t);
  return image.offset(image.peek<uint32_t>(at));
}

using enum Problem;

const Scenario kSuperblockScenarios[] = {
    {superblock_primary_bad,
     "primary superblock without its magic number",
     "ext4-1k",
     [](const TestImage& image) {
       poke_superblock(image, &ext2_super_block::s_magic, 0);
       return Place{};
     },
     {superblock_not_clean}},  // backups never carry the valid bit
    {superblock_primary_bad,
     "primary superblock overwritten with zeros",
     "ext2-1k",
     [](const TestImage& image) {
       image.fill(kSuperblockOffset, kSuperblockSize, std::byte{0});
       return Place{};
     },
     {superblock_not_clean}},
    {superblock_primary_bad,
     "primary superblock with an unknown feature and another checksum",
     "ext4-1k",
     [](const TestImage& image) {
       poke_superblock(image, &ext2_super_block::s_feature_compat, image.superblock().s_feature_compat | 1u << 30);
       return Place{};
     },
     {superblock_not_clean}},
    {superblock_checksum, "superblock changed without being sealed, no backup to go by", "ext4-1group",
     [](const TestImage& image) {
       poke_superblock(image, &ext2_super_block::s_mnt_count, 77);
       return Place{};
     }},
    {superblock_field, "reserved blocks are more than the file system has", "ext4-plain",
     [](const TestImage& image) {
       image.debugfs("ssv r_blocks_count 40000000");
       return Place{.field = "s_r_blocks_count"};
     }},
    {superblock_field,
     "fragments of a group are not its blocks",
     "ext4-plain",
     [](const TestImage& image) {
       image.debugfs("ssv clusters_per_group 4096");
       return Place{.field = "s_clusters_per_group"};
     },
     {superblock_backup_bad}},
    {superblock_field,
     "descriptors larger than the kernel takes them",
     "ext4-4k",
     [](const TestImage& image) {
       image.debugfs("ssv desc_size 2048");
       return Place{.field = "s_desc_size"};
     },
     {superblock_backup_bad}},
    {superblock_field,
     "encoding of file names that does not exist",
     "ext4-casefold",
     [](const TestImage& image) {
       image.debugfs("ssv encoding 7");
       return Place{.field = "s_encoding"};
     },
     {superblock_backup_bad}},
    {superblock_time_future, "mounted in the year 2106", "ext4-plain",
     [](const TestImage& image) {
       image.debugfs("ssv mtime @0xfffffff0");
       return Place{.field = "s_mtime"};
     }},
    {superblock_reserved_gdt,
     "reserved group descriptor blocks without resize_inode",
     "ext4-super2",
     [](const TestImage& image) {
       image.debugfs("ssv reserved_gdt_blocks 5");
       return Place{};
     },
     {superblock_backup_bad, block_bitmap_mismatch, superblock_free_blocks, group_free_blocks, group_metadata_overlap}},
    {superblock_reserved_gdt,
     "reserved group descriptor blocks with meta_bg",
     "ext4-metabg",
     [](const TestImage& image) {
       image.debugfs("ssv reserved_gdt_blocks 5");
       return Place{};
     },
     {superblock_backup_bad, block_bitmap_mismatch, superblock_free_blocks, group_free_blocks}},
    {superblock_resize_inode,
     "resize inode is empty",
     "ext4-plain",
     [](const TestImage& image) {
       image.debugfs("clri <7>");
       return Place{};
     },
     {block_bitmap_mismatch, superblock_free_blocks, group_free_blocks}},
    {superblock_resize_inode, "reserved block lists a block outside the file system behind its copies", "ext4-1k",
     [](const TestImage& image) {
       image.poke<uint32_t>(first_reserved(image) + image.block_size() - 4, 0xff000000);
       return Place{.inode = EXT2_RESIZE_INO, .block = 0xff000000};
     }},
    {superblock_resize_inode, "resize inode with the flag of an indexed directory", "ext4-1k",
     [](const TestImage& image) {
       image.debugfs(fmt::format("sif <{}> flags 0x1000", EXT2_RESIZE_INO));
       return Place{.inode = EXT2_RESIZE_INO};
     }},
    {superblock_resize_inode,
     "resize inode lists a block that is not reserved",
     "ext3-1k",
     [](const TestImage& image) {
       image.poke<uint32_t>(resize_list(image) + image.block_size() - 4, 9000);
       return Place{.inode = EXT2_RESIZE_INO};
     },
     {block_bitmap_mismatch, superblock_free_blocks, group_free_blocks, inode_blocks, superblock_resize_inode,
      block_multiply_claimed}},
    {superblock_field,
     "fewer reserved blocks than the resize inode lists",
     "ext2-1k",
     [](const TestImage& image) {
       image.debugfs("ssv reserved_gdt_blocks 3");
       return Place{.field = "s_reserved_gdt_blocks"};
     },
     {block_bitmap_mismatch, superblock_free_blocks, group_free_blocks, superblock_backup_bad}},
    {superblock_field,
     "reserved blocks over the first bitmaps, which the resize inode does not list",
     "ext4-1k",
     [](const TestImage& image) {
       image.debugfs("ssv reserved_gdt_blocks 255");
       return Place{.field = "s_reserved_gdt_blocks"};
     },
     {block_bitmap_mismatch, superblock_free_blocks, group_free_blocks, group_metadata_overlap, block_multiply_claimed,
      superblock_backup_bad}},
    {superblock_field,
     "first inode for files behind lost+found",
     "ext4-1group",
     [](const TestImage& image) {
       image.debugfs("ssv first_ino 12");
       return Place{.field = "s_first_ino"};
     },
     {inode_links, lost_found_missing, entry_inode_invalid, reserved_inode}},
    {superblock_field, "impossible size of descriptors, and no backup to go by", "ext4-1group",
     [](const TestImage& image) {
       image.debugfs("ssv desc_size 2");
       return Place{.field = "s_desc_size"};
     }},
    {superblock_primary_bad,
     "number of blocks that its number of inodes contradicts",
     "ext4-1k",
     [](const TestImage& image) {
       image.debugfs("ssv blocks_count 12");
       return Place{};
     },
     {superblock_not_clean}},
    {superblock_resize_inode,
     "resize inode lists a reserved block twice",
     "ext2-1k",
     [](const TestImage& image) {
       uint64_t at = resize_list(image);
       while (image.peek<uint32_t>(at) == 0) at += 4;
       image.poke<uint32_t>(at + 4, image.peek<uint32_t>(at));
       return Place{};
     },
     {block_bitmap_mismatch, superblock_free_blocks, group_free_blocks, map_loop, inode_blocks, block_multiply_claimed}},
    {superblock_free_blocks, "superblock counts five free blocks", "ext4-1k",
     [](const TestImage& image) {
       image.debugfs("ssv free_blocks_count 5");
       return Place{.field = "s_free_blocks_count"};
     }},
    {superblock_free_inodes, "superblock counts five free inodes", "ext2-4k",
     [](const TestImage& image) {
       image.debugfs("ssv free_inodes_count 5");
       return Place{.field = "s_free_inodes_count"};
     }},
    {superblock_not_clean,
     "superblock without the valid bit",
     "ext2-1k",
     [](const TestImage& image) {
       image.debugfs("ssv state 0");
       return Place{};
     },
     {},
     true},
    {superblock_error_mark,
     "superblock with the error mark",
     "ext4-1k",
     [](const TestImage& image) {
       image.debugfs("ssv state 3");
       return Place{};
     },
     {},
     true},
    {superblock_past_errors,
     "superblock tells of past errors",
     "ext4-1k",
     [](const TestImage& image) {
       image.debugfs("ssv error_count 3");
       image.debugfs("ssv first_error_time 20200101000000");
       return Place{};
     },
     {},
     true},
    {superblock_backup_bad,
     "backup superblock overwritten with zeros",
     "ext4-plain",
     [](const TestImage& image) {
       image.fill(backup_offset(image, 1), kSuperblockSize, std::byte{0});
       return Place{.group = 1};
     },
     {},
     true},
    {superblock_backup_bad,
     "backup superblock with another number of blocks",
     "ext2-4k",
     [](const TestImage& image) {
       poke_superblock(image, &ext2_super_block::s_blocks_count, 4096, backup_offset(image, 1));
       return Place{.group = 1};
     },
     {},
     true},
    {superblock_backup_bad,
     "backup superblock changed without being sealed",
     "ext4-1k",
     [](const TestImage& image) {
       poke_superblock(image, &ext2_super_block::s_mnt_count, 77, backup_offset(image, 1));
       return Place{.group = 1};
     },
     {},
     true},
    {superblock_uuid_zero,
     "file system without a UUID",
     "ext4-plain",
     [](const TestImage& image) {
       image.debugfs("ssv uuid clear");
       return Place{};
     },
     {superblock_backup_bad},
     true},
    {journal_needs_recovery,
     "journal with changes to replay",
     "ext4-plain",
     [](const TestImage& image) {
       image.debugfs("feature needs_recovery");
       return Place{};
     },
     {},
     true},
    {orphans_to_release, "deleted file that was still open", "ext4-plain",
     [](const TestImage& image) {
       const uint32_t inode = image.inode_of("/three");
       image.debugfs("unlink /three");
       image.debugfs(fmt::format("sif <{}> links_count 0", inode));
       image.debugfs(fmt::format("ssv last_orphan {}", inode));
       return Place{};
     }},
    {superblock_features, "orphans in an orphan file that is not there", "ext4-plain",
     [](const TestImage& image) {
       poke_superblock(image, &ext2_super_block::s_feature_ro_compat,
                       image.superblock().s_feature_ro_compat | EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT);
       return Place{};
     }},
    {superblock_features, "metadata_csum lost, and nothing else", "ext4-1k",
     [](const TestImage& image) {
       poke_superblock(image, &ext2_super_block::s_feature_ro_compat,
                       image.superblock().s_feature_ro_compat & ~uint32_t{EXT4_FEATURE_RO_COMPAT_METADATA_CSUM});
       return Place{};
     }},
    {superblock_features,
     "fast commits in a journal that is too short for them",
     "ext4-1k",
     [](const TestImage& image) {
       image.debugfs("feature fast_commit");
       return Place{};
     },
     {superblock_backup_bad},
     true},
    {superblock_field, "root directory named as a quota file", "ext4-plain",
     [](const TestImage& image) {
       image.debugfs("ssv grp_quota_inum 2");
       return Place{.field = "s_grp_quota_inum"};
     }},
    {superblock_field, "free inode named as a quota file where there are no quotas", "ext4-plain",
     [](const TestImage& image) {
       image.debugfs(fmt::format("ssv prj_quota_inum {}", image.superblock().s_inodes_count - 1));
       return Place{.field = "s_prj_quota_inum"};
     }},
    {superblock_field, "UUID of a journal's device where there is no journal", "ext2-1k",
     [](const TestImage& image) {
       image.debugfs("ssv journal_uuid 01234567-89ab-cdef-0123-456789abcdef");
       return Place{.field = "s_journal_uuid"};
     }},
    {superblock_field, "file named as the orphan file where there is none", "ext4-plain",
     [](const TestImage& image) {
       image.debugfs(fmt::format("ssv orphan_file_inum {}", image.inode_of("/three")));
       return Place{.field = "s_orphan_file_inum"};
     }},
    {superblock_field,
     "size of descriptors that cannot be, where their size is fixed",
     "ext2-1k",
     [](const TestImage& image) {
       image.debugfs("ssv desc_size 12");
       return Place{.field = "s_desc_size"};
     },
     {superblock_backup_bad}},
    {superblock_features,
     "meta_bg together with resize_inode",
     "ext4-plain",
     [](const TestImage& image) {
       image.debugfs("feature meta_bg");
       return Place{};
     },
     {superblock_backup_bad, superblock_resize_inode, block_bitmap_mismatch, group_free_blocks, superblock_free_blocks}},
    {journal_inode_missing,
     "journal inode is empty",
     "ext4-plain",
     [](const TestImage& image) {
       image.debugfs("clri <8>");
       return Place{};
     },
     {block_bitmap_mismatch, superblock_free_blocks, group_free_blocks}},
};

}  // namespace

std::span<const Scenario> superblock_damage() { return kSuperblockScenarios; }

}  // namespace extscrub::test
