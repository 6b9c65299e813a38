// Damage to group descriptors.
#include <fmt/format.h>

#include "tests/damage/scenario.h"

namespace extscrub::test {

namespace {

template <class T>
void poke_descriptor(const TestImage& image, uint32_t group, T ext4_group_desc::* field, auto value) {
  ext4_group_desc probe{};
  const auto at = reinterpret_cast<const std::byte*>(&(probe.*field)) - reinterpret_cast<const std::byte*>(&probe);
  image.poke(image.descriptor_offset(group) + at, static_cast<T>(value));
}

// Sets a field and seals the descriptor, on images that have checksums in it.
Place set_field(const TestImage& image, uint32_t group, std::string_view field, uint32_t value) {
  image.debugfs(fmt::format("set_bg {} {} {}", group, field, value));
  image.debugfs(fmt::format("set_bg {} checksum calc", group), true);
  return Place{.group = group};
}

using enum Problem;

// A descriptor that names a wrong place takes the bitmap or the inodes with it, and the place itself is no longer in
// use.
const std::vector<Problem> kLostBlocks = {block_bitmap_mismatch, superblock_free_blocks, group_free_blocks,
                                          group_metadata_overlap, group_desc_backup};
const std::vector<Problem> kLostInodes = {
    block_bitmap_mismatch, superblock_free_blocks,  group_free_blocks,     group_metadata_overlap, group_desc_backup,
    inode_bitmap_mismatch, superblock_free_inodes,  group_free_inodes,     group_used_dirs,        inode_bitmap_padding,
    block_bitmap_padding,  superblock_resize_inode, journal_inode_missing, root_not_directory};

// The flags of a descriptor with a wrong checksum are not believed, so bitmaps that were never written are read too.
const std::vector<Problem> kFlagsDoubted = {block_bitmap_checksum, block_bitmap_mismatch, block_bitmap_padding,
                                            inode_bitmap_checksum, inode_bitmap_padding};

const Scenario kGroupScenarios[] = {
    {group_desc_checksum, "descriptor with a changed CRC32C", "ext4-1k",
     [](const TestImage& image) {
       poke_descriptor(image, 1, &ext4_group_desc::bg_checksum, image.descriptor(1).bg_checksum ^ 0x5a5a);
       return Place{.group = 1};
     },
     kFlagsDoubted},
    {group_desc_checksum, "descriptor with a changed CRC16", "ext4-gdtcsum",
     [](const TestImage& image) {
       poke_descriptor(image, 2, &ext4_group_desc::bg_checksum, image.descriptor(2).bg_checksum ^ 1);
       return Place{.group = 2};
     },
     kFlagsDoubted},
    {group_block_bitmap_location, "block bitmap behind the last block", "ext4-plain",
     [](const TestImage& image) {
       poke_descriptor(image, 1, &ext4_group_desc::bg_block_bitmap, 0x7fffffff);
       return Place{.group = 1};
     },
     kLostBlocks},
    {group_block_bitmap_location, "block bitmap in another group without flex_bg", "ext2-1k",
     [](const TestImage& image) {
       poke_descriptor(image, 1, &ext4_group_desc::bg_block_bitmap, 5000);
       return Place{.group = 1};
     },
     kLostBlocks},
    {group_inode_bitmap_location, "inode bitmap at block zero", "ext4-plain",
     [](const TestImage& image) {
       poke_descriptor(image, 2, &ext4_group_desc::bg_inode_bitmap, 0);
       return Place{.group = 2};
     },
     kLostInodes},
    {group_inode_table_location, "inode table reaches over the last block", "ext4-plain",
     [](const TestImage& image) {
       poke_descriptor(image, 1, &ext4_group_desc::bg_inode_table, image.superblock().s_blocks_count - 3);
       return Place{.group = 1};
     },
     kLostInodes},
    {group_metadata_overlap, "inode bitmap of one group is that of another", "ext4-plain",
     [](const TestImage& image) {
       const uint64_t theirs = image.inode_bitmap(2);
       poke_descriptor(image, 1, &ext4_group_desc::bg_inode_bitmap, theirs);
       // Nor does a backup know better.
       for (const uint32_t group : {1u, 3u}) {
         const uint64_t copy = image.descriptor_offset(1) + image.offset(uint64_t{group} * image.superblock().s_blocks_per_group);
         image.patch<ext4_group_desc>(copy, [&](ext4_group_desc& d) { d.bg_inode_bitmap = static_cast<uint32_t>(theirs); });
       }
       return Place{.block = theirs};
     },
     kLostInodes},
    {group_inode_bitmap_location, "inode bitmap in the block of the block bitmap", "ext2-1k",
     [](const TestImage& image) {
       const uint64_t shared = image.block_bitmap(1);
       poke_descriptor(image, 1, &ext4_group_desc::bg_inode_bitmap, shared);
       return Place{.group = 1, .block = shared};
     },
     kLostInodes},
    {group_flags, "uninitialised block bitmap of the last group", "ext4-gdtcsum",
     [](const TestImage& image) { return set_field(image, 3, "flags", image.descriptor(3).bg_flags | EXT2_BG_BLOCK_UNINIT); }},
    {group_flags, "inodes in use where none was ever used, by a flag that nothing goes by", "ext2-1k",
     [](const TestImage& image) {
       poke_descriptor(image, 0, &ext4_group_desc::bg_flags, EXT2_BG_INODE_UNINIT);
       return Place{.group = 0, .field = "bg_flags"};
     }},
    {group_flags_ignored, "uninitialised bitmap without a feature for it", "ext4-plain",
     [](const TestImage& image) {
       poke_descriptor(image, 1, &ext4_group_desc::bg_flags, EXT2_BG_BLOCK_UNINIT);
       return Place{.group = 1, .field = "bg_flags"};
     }},
    {group_flags_ignored, "unused inodes counted without a feature for it", "ext2-1k",
     [](const TestImage& image) {
       poke_descriptor(image, 0, &ext4_group_desc::bg_itable_unused, 5);
       return Place{.group = 0, .field = "bg_itable_unused"};
     }},
    {group_bitmap_bad_block, "block bitmap of a group is on the list of bad blocks", "ext2-1k",
     [](const TestImage& image) {
       image.debugfs(fmt::format("sif <1> block[0] {}", image.block_bitmap(1)));
       image.debugfs("sif <1> blocks 2");
       return Place{.group = 1, .field = "bg_block_bitmap"};
     }},
    {group_itable_unused,
     "unused inodes reach over inodes in use",
     "ext4-gdtcsum",
     [](const TestImage& image) { return set_field(image, 0, "itable_unused", 1000); },
     {group_free_inodes, superblock_free_inodes}},
    {group_itable_unused, "more unused inodes than the table has", "ext4-1k",
     [](const TestImage& image) { return set_field(image, 2, "itable_unused", 5000); }},
    {group_free_blocks, "descriptor counts three free blocks", "ext4-1k",
     [](const TestImage& image) { return set_field(image, 1, "free_blocks_count", 3); }},
    {group_free_inodes, "descriptor counts three free inodes", "ext4-plain",
     [](const TestImage& image) {
       image.debugfs("set_bg 2 free_inodes_count 3");
       return Place{.group = 2};
     }},
    {group_used_dirs, "descriptor counts nine directories too many", "ext3-1k",
     [](const TestImage& image) {
       image.debugfs(fmt::format("set_bg 0 used_dirs_count {}", image.descriptor(0).bg_used_dirs_count + 9));
       return Place{.group = 0};
     }},
    {group_desc_backup,
     "backup descriptor names another inode table",
     "ext4-plain",
     [](const TestImage& image) {
       const uint64_t primary = image.descriptor_offset(1);
       const uint64_t copy = primary + image.offset(image.superblock().s_blocks_per_group);
       ext4_group_desc desc = image.descriptor(1);
       desc.bg_inode_table += 16;
       image.poke(copy, desc);
       return Place{.group = 1};
     },
     {},
     true},
};

}  // namespace

std::span<const Scenario> group_damage() { return kGroupScenarios; }

}  // namespace extscrub::test
