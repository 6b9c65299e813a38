// Damage to directories, their indexes, the tree they form, and link counts.
#include <fmt/format.h>

#include <stdexcept>

#include "scan/format/dir_block.h"
#include "tests/damage/scenario.h"

namespace extscrub::test {

namespace {

using enum Problem;

const std::vector<Problem> kNameGone = {inode_unattached};
const std::vector<Problem> kBlockGone = {inode_blocks,          inode_unattached,      inode_size,
                                         directory_unconnected, block_bitmap_mismatch, group_free_blocks,
                                         superblock_free_blocks};

// Where the entry lies in the image, in bytes.
uint64_t entry_at(const TestImage& image, const std::string& directory, std::string_view name, uint64_t logical = 0) {
  std::vector<std::byte> block(image.block_size());
  const uint64_t at = image.offset(image.block_of(directory, logical));
  image.read(at, block);
  EntryWalk walk(block, image.block_size());
  while (const auto e = walk.next())
    if (e->name == name) return at + e->offset;
  throw std::runtime_error(fmt::format("no entry '{}' in {}", name, directory));
}

template <class T>
Place poke_entry(const TestImage& image, const std::string& directory, std::string_view name, size_t field, T value) {
  image.poke(entry_at(image, directory, name) + field, value);
  return Place{.inode = image.inode_of(directory), .logical = 0};
}

constexpr size_t kInode = 0, kRecLen = 4, kNameLen = 6, kType = 7, kName = 8;

// Gives /many an index, and returns where its root lies.
uint64_t index_root(const TestImage& image) {
  (void)run({"e2fsck", "-fyD", image.path()});
  return image.offset(image.block_of("/many"));
}

constexpr uint64_t kRootInfo = 24, kRootEntries = 32;

// An encryption context (version 1, of the key `key`) in the inode's own attributes, and the flag.
void encrypt(const TestImage& image, const std::string& path, uint8_t key) {
  const uint32_t inode = image.inode_of(path);
  const uint64_t at = image.inode_offset(inode) + 160;  // behind the 32 bytes of extra fields
  image.fill(at, 96, std::byte{0});
  image.poke(at, uint32_t{EXT2_EXT_ATTR_MAGIC});
  const ext2_ext_attr_entry entry{1, 9, 64, 0, 28, 0};
  image.poke(at + 4, entry);
  image.poke(at + 4 + sizeof entry, 'c');
  image.poke(at + 4 + 64, uint8_t{1});
  image.poke(at + 4 + 64 + 4, key);
  image.patch<uint32_t>(image.inode_offset(inode) + offsetof(ext2_inode, i_flags), [](uint32_t& f) { f |= EXT4_ENCRYPT_FL; });
  image.debugfs(fmt::format("sif <{}> version 1", inode), true);  // seals it
}

const Scenario kDirectoryScenarios[] = {
    {directory_record,
     "record length that is no multiple of four",
     "ext4-plain",
     [](const TestImage& image) { return poke_entry(image, "/dir", "file9", kRecLen, uint16_t{18}); },
     {inode_unattached, directory_unconnected}},
    {directory_dot, "'.' names another inode", "ext4-plain",
     [](const TestImage& image) { return poke_entry(image, "/dir/sub", ".", kInode, uint32_t{12}); }},
    {directory_dot, "first entry is not '.'", "ext2-1k",
     [](const TestImage& image) { return poke_entry(image, "/dir/sub", ".", kName, 'x'); }},
    {directory_dot_large, "'.' takes 36 bytes", "ext4-plain",
     [](const TestImage& image) {
       const uint64_t at = entry_at(image, "/dir/sub/deeper", "..");
       const auto dotdot = image.peek<std::array<std::byte, 12>>(at);
       poke_entry(image, "/dir/sub/deeper", ".", kRecLen, uint16_t{36});
       image.poke(at + 24, dotdot);
       image.poke(at + 24 + kRecLen, static_cast<uint16_t>(image.block_size() - 36));
       return Place{.inode = image.inode_of("/dir/sub/deeper")};
     }},
    {directory_dotdot_missing, "second entry is not '..'", "ext4-plain",
     [](const TestImage& image) { return poke_entry(image, "/dir/sub/deeper", "..", kName, 'x'); }},
    {directory_dot_again, "file with the name '.'", "ext4-plain",
     [](const TestImage& image) {
       const uint64_t at = entry_at(image, "/dir", "file1");
       image.poke(at + kNameLen, uint8_t{1});
       image.poke(at + kName, '.');
       return Place{.inode = image.inode_of("/dir")};
     },
     kNameGone},
    {entry_to_itself, "file that is its own directory", "ext4-plain",
     [](const TestImage& image) { return poke_entry(image, "/dir", "file1", kInode, image.inode_of("/dir")); }, kNameGone},
    {entry_to_root, "file that is the root", "ext4-plain",
     [](const TestImage& image) { return poke_entry(image, "/dir", "file1", kInode, uint32_t{EXT2_ROOT_INO}); }, kNameGone},
    {entry_name_empty, "entry without a name", "ext4-plain",
     [](const TestImage& image) { return poke_entry(image, "/dir", "file1", kNameLen, uint8_t{0}); }, kNameGone},
    {entry_name_invalid, "name with a slash", "ext4-plain",
     [](const TestImage& image) { return poke_entry(image, "/dir", "file1", kName, '/'); }},
    {entry_name_invalid, "name with a zero byte", "ext2-4k",
     [](const TestImage& image) { return poke_entry(image, "/dir", "file1", kName + 2, '\0'); }},
    {entry_name_short,
     "short name in an encrypted directory",
     "ext4-stable",
     [](const TestImage& image) {
       encrypt(image, "/dir", 1);
       return Place{.inode = image.inode_of("/dir")};
     },
     {entry_unencrypted}},
    {entry_unencrypted, "unencrypted file in an encrypted directory", "ext4-stable",
     [](const TestImage& image) {
       encrypt(image, "/many", 1);
       return Place{.inode = image.inode_of("/many")};
     }},
    {entry_policy,
     "directory with another key than the one it is in",
     "ext4-stable",
     [](const TestImage& image) {
       encrypt(image, "/dir/sub", 1);
       encrypt(image, "/dir/sub/deeper", 2);
       return Place{.inode = image.inode_of("/dir/sub")};
     },
     {entry_name_short}},
    {entry_inode_invalid, "entry for a reserved inode", "ext4-plain",
     [](const TestImage& image) { return poke_entry(image, "/dir", "file1", kInode, uint32_t{5}); }, kNameGone},
    {entry_inode_invalid, "entry for an inode behind the last one", "ext4-plain",
     [](const TestImage& image) { return poke_entry(image, "/dir", "file1", kInode, 0xFFFFFFFFu); }, kNameGone},
    {entry_inode_invalid, "entry for the orphan file", "ext4-orphanfile",
     [](const TestImage& image) {
       image.debugfs(fmt::format("link <{}> /dir/own", image.superblock().s_orphan_file_inum), true);
       return Place{.inode = image.inode_of("/dir")};
     }},
    {entry_inode_invalid, "entry for the quota file of projects", "ext4-quota",
     [](const TestImage& image) {
       image.debugfs(fmt::format("link <{}> /dir/own", image.superblock().s_prj_quota_inum), true);
       return Place{.inode = image.inode_of("/dir")};
     }},
    {entry_inode_unused, "entry for an inode that is free", "ext4-plain",
     [](const TestImage& image) { return poke_entry(image, "/dir", "file1", kInode, image.superblock().s_inodes_count - 3); },
     kNameGone},
    {entry_inode_uninit, "entry for an inode that was never used", "ext4-gdtcsum",
     [](const TestImage& image) { return poke_entry(image, "/dir", "file1", kInode, image.superblock().s_inodes_count - 3); },
     kNameGone},
    {entry_inode_bad_block,
     "entry for an inode on a bad block that is given up",
     "ext4-plain",
     [](const TestImage& image) {
       const uint32_t inode = image.inode_of("/dir/file20");
       const uint64_t block = image.inode_offset(inode) / image.block_size();
       const uint32_t per_block = image.block_size() / image.superblock().s_inode_size;
       const uint32_t first = (inode - 1) / per_block * per_block + 1;
       for (uint32_t i = first; i < first + per_block; ++i) {
         image.debugfs(fmt::format("seti <{}>", i));
         if (i != inode) image.debugfs(fmt::format("clri <{}>", i));
       }
       image.poke(image.map_offset(EXT2_BAD_INO), static_cast<uint32_t>(block));
       return Place{.inode = image.inode_of("/dir")};
     },
     {inode_unattached, inode_blocks, block_bitmap_mismatch, group_free_blocks, superblock_free_blocks, directory_unconnected,
      entry_inode_unused, group_free_inodes, superblock_free_inodes, inode_bitmap_mismatch, inodes_lost}},
    {entry_value_inode,
     "entry for an attribute's value",
     "ext4-eainode",
     [](const TestImage& image) {
       image.debugfs(fmt::format("sif <{}> flags 0x280000", image.inode_of("/three")));
       return Place{.inode = EXT2_ROOT_INO};
     },
     {ea_inode_unreferenced},
     true},  // later versions of e2fsck see it
    {entry_type, "file that its entry calls a directory", "ext4-plain",
     [](const TestImage& image) { return poke_entry(image, "/dir", "file1", kType, uint8_t{EXT2_FT_DIR}); }},
    {entry_type_unset,
     "file whose entry has no type",
     "ext4-plain",
     [](const TestImage& image) { return poke_entry(image, "/dir", "file1", kType, uint8_t{EXT2_FT_UNKNOWN}); },
     {},
     true},  // e2fsck mends it without a word
    {entry_duplicate, "two files with one name", "ext4-plain",
     [](const TestImage& image) { return poke_entry(image, "/dir", "file1", kName + 4, '2'); }},
    {entry_duplicate,
     "two files with one name, in different blocks of a directory without index",
     "ext4-plain",
     [](const TestImage& image) {
       std::vector<char> name(64);
       const uint64_t from = image.offset(image.block_of("/many")) + 24, to = image.offset(image.block_of("/many", 2));
       const auto length = std::min(image.peek<uint8_t>(from + kNameLen), image.peek<uint8_t>(to + kNameLen));
       for (uint64_t i = 0; i < length; ++i) image.poke(to + kName + i, image.peek<char>(from + kName + i));
       image.poke(from + kNameLen, length);
       image.poke(to + kNameLen, length);
       return Place{.inode = image.inode_of("/many"), .logical = 2};
     },
     {},
     true},
    {directory_checksum, "directory block with another checksum", "ext4-1k",
     [](const TestImage& image) {
       const uint64_t block = image.block_of("/dir");
       image.poke(image.offset(block) + image.block_size() - 4, 1u);
       return Place{.inode = image.inode_of("/dir"), .block = block};
     }},
    {directory_tail_missing, "directory block without the mark of its checksum", "ext4-1k",
     [](const TestImage& image) {
       const uint64_t block = image.block_of("/dir");
       image.poke(image.offset(block) + image.block_size() - 5, uint8_t{0});
       return Place{.inode = image.inode_of("/dir"), .block = block};
     }},
    {directory_hole, "directory without its fourth block", "ext2-1k",
     [](const TestImage& image) {
       image.debugfs("sif /many block[3] 0");
       return Place{.inode = image.inode_of("/many"), .logical = 3};
     },
     kBlockGone},
    {directory_hole, "directory without its first two blocks, where large_dir is on", "ext4-largedir",
     [](const TestImage& image) {
       image.debugfs("punch /many 0 1");
       return Place{.inode = image.inode_of("/many"), .logical = 0};
     },
     kBlockGone},
    {directory_inline_size,
     "inline directory with room for half an entry",
     "ext4-inline",
     [](const TestImage& image) {
       const uint32_t inode = image.inode_of("/dir/sub");
       const uint64_t at = image.inode_offset(inode) + EXT2_GOOD_OLD_INODE_SIZE +
                           image.peek<uint16_t>(image.inode_offset(inode) + EXT2_GOOD_OLD_INODE_SIZE) + 4;
       image.poke(at + offsetof(ext2_ext_attr_entry, e_value_size), 6u);
       image.poke(at + offsetof(ext2_ext_attr_entry, e_value_offs), uint16_t{64});
       image.debugfs(fmt::format("sif <{}> version 1", inode), true);
       return Place{.inode = inode};
     },
     {directory_record, inline_data}},
    {htree_root, "index with a hash that does not exist", "ext4-plain",
     [](const TestImage& image) {
       image.poke(index_root(image) + kRootInfo + 4, uint8_t{9});
       return Place{.inode = image.inode_of("/many"), .logical = 0, .field = "hash_version"};
     }},
    {htree_root, "index root whose reserved field is not zero", "ext4-plain",
     [](const TestImage& image) {
       image.poke(index_root(image) + kRootInfo, 7u);
       return Place{.inode = image.inode_of("/many"), .logical = 0, .field = "reserved_zero"};
     }},
    {htree_root, "index root of another length", "ext4-plain",
     [](const TestImage& image) {
       image.poke(index_root(image) + kRootInfo + 5, uint8_t{0});
       return Place{.inode = image.inode_of("/many"), .logical = 0, .field = "info_length"};
     }},
    {htree_root, "index root with a flag that does not exist", "ext4-plain",
     [](const TestImage& image) {
       image.poke(index_root(image) + kRootInfo + 7, uint8_t{1});
       return Place{.inode = image.inode_of("/many"), .logical = 0, .field = "unused_flags"};
     }},
    {htree_node, "index root with another limit", "ext4-plain",
     [](const TestImage& image) {
       image.poke(index_root(image) + kRootEntries, uint16_t{99});
       return Place{.inode = image.inode_of("/many"), .field = "limit"};
     }},
    {htree_node, "index entry for a block behind the last one", "ext4-plain",
     [](const TestImage& image) {
       image.poke(index_root(image) + kRootEntries + 8 + 4, 5000u);
       return Place{.inode = image.inode_of("/many"), .field = "block"};
     }},
    {htree_checksum, "index root with another checksum", "ext4-1k",
     [](const TestImage& image) {
       const uint64_t root = index_root(image);
       image.poke(root + image.block_size() - 4, 1u);
       return Place{.inode = image.inode_of("/many"), .field = "dt_checksum"};
     }},
    {htree_range, "index entry with a hash above its names", "ext4-plain",
     [](const TestImage& image) {
       const uint64_t entries = index_root(image) + kRootEntries;
       image.poke(entries + 8, image.peek<uint32_t>(entries + 16) - 2);
       return Place{.inode = image.inode_of("/many"), .field = "hash"};
     }},
    {htree_depth, "index root that tells of one level too many", "ext4-plain",
     [](const TestImage& image) {
       image.poke(index_root(image) + kRootInfo + 6, uint8_t{1});
       return Place{.inode = image.inode_of("/many")};
     }},
    {htree_referenced_again,
     "two index entries for one block",
     "ext4-plain",
     [](const TestImage& image) {
       const uint64_t entries = index_root(image) + kRootEntries;
       image.poke(entries + 16 + 4, image.peek<uint32_t>(entries + 8 + 4));
       return Place{.inode = image.inode_of("/many")};
     },
     {htree_unreferenced, htree_range}},
    {htree_unreferenced, "index without its last entry", "ext4-plain",
     [](const TestImage& image) {
       image.patch<uint16_t>(index_root(image) + kRootEntries + 2, [](uint16_t& count) { --count; });
       return Place{.inode = image.inode_of("/many")};
     }},
    {directory_unconnected, "directory whose entry is gone", "ext4-plain",
     [](const TestImage& image) {
       const uint32_t inode = image.inode_of("/dir/sub");
       image.debugfs("unlink /dir/sub");
       return Place{.inode = inode};
     }},
    {directory_unconnected,
     "two directories that hold each other",
     "ext4-plain",
     [](const TestImage& image) {
       const uint32_t outer = image.inode_of("/dir/sub"), inner = image.inode_of("/dir/sub/deeper");
       image.debugfs(fmt::format("link <{}> /dir/sub/deeper/loop", outer));
       image.debugfs("unlink /dir/sub");
       return Place{.inode = std::min(outer, inner)};
     },
     {directory_dotdot_wrong, inode_links}},
    {directory_linked_again, "directory with two entries", "ext4-plain",
     [](const TestImage& image) {
       image.debugfs("link /dir/sub /many/again");
       return Place{.inode = image.inode_of("/dir/sub")};
     }},
    {directory_dotdot_wrong, "'..' names the root instead of the parent", "ext4-plain",
     [](const TestImage& image) {
       poke_entry(image, "/dir/sub/deeper", "..", kInode, uint32_t{EXT2_ROOT_INO});
       return Place{.inode = image.inode_of("/dir/sub/deeper")};
     }},
    {lost_found_missing,
     "root without lost+found",
     "ext4-plain",
     [](const TestImage& image) {
       image.debugfs("rmdir /lost+found");
       return Place{.inode = EXT2_ROOT_INO};
     },
     {},
     true},
    {lost_found_invalid,
     "lost+found is a file",
     "ext4-plain",
     [](const TestImage& image) {
       image.debugfs("rmdir /lost+found");
       image.debugfs("link /three /lost+found");
       return Place{.inode = image.inode_of("/three")};
     },
     {inode_links}},
    {inode_links, "file with more links counted than names", "ext4-1k",
     [](const TestImage& image) {
       image.debugfs("sif /three links_count 5");
       return Place{.inode = image.inode_of("/three"), .field = "i_links_count"};
     }},
    {inode_links, "file with more names than links counted", "ext4-1k",
     [](const TestImage& image) {
       image.debugfs("sif /hard links_count 1");
       return Place{.inode = image.inode_of("/hard")};
     }},
    {inode_links, "directory with a link too many", "ext2-1k",
     [](const TestImage& image) {
       image.debugfs("sif /dir links_count 300");
       return Place{.inode = image.inode_of("/dir")};
     }},
    {inode_unattached, "file without a name", "ext4-1k",
     [](const TestImage& image) {
       const uint32_t inode = image.inode_of("/three");
       image.debugfs("unlink /three");
       return Place{.inode = inode};
     }},
    {inode_misplaced_directory,
     "directory with the mode of a pipe",
     "ext2-1k",
     [](const TestImage& image) {
       image.debugfs("sif /dir/sub/deeper mode 010755");
       return Place{.inode = image.inode_of("/dir/sub/deeper")};
     },
     {inode_special_blocks, inode_blocks, inode_size, group_used_dirs, entry_type, inode_links, block_bitmap_mismatch,
      group_free_blocks, superblock_free_blocks}},
    {inode_misplaced_directory,
     "directory with the mode of a file",
     "ext4-1k",
     [](const TestImage& image) {
       const uint32_t inode = image.inode_of("/dir/sub/deeper");
       image.debugfs("sif /dir/sub/deeper mode 0100755");
       return Place{.inode = inode, .field = "i_mode"};
     },
     {inode_links, group_used_dirs, inode_unattached, directory_unconnected}},
    {inode_misplaced_directory,
     "directory that is marked as deleted",
     "ext4-1k",
     [](const TestImage& image) {
       const uint32_t inode = image.inode_of("/dir/sub/deeper");
       image.debugfs("sif /dir/sub/deeper dtime 1700000000");
       image.debugfs("sif /dir/sub/deeper links_count 0");
       return Place{.inode = inode, .field = "i_links_count"};
     },
     {inode_links, group_used_dirs, inode_unattached, directory_unconnected, inode_bitmap_mismatch, block_bitmap_mismatch,
      group_free_inodes, group_free_blocks, superblock_free_inodes, superblock_free_blocks}},
};

}  // namespace

std::span<const Scenario> directory_damage() { return kDirectoryScenarios; }

}  // namespace extscrub::test
