// Damage to extended attributes, their blocks and value inodes, inline data, encryption policies, quota files and MMP.
#include <fmt/format.h>

#include <functional>
#include <span>

#include "scan/format/crc.h"
#include "tests/damage/scenario.h"

namespace extscrub::test {

namespace {

using enum Problem;

constexpr uint32_t kExtentsFlag = 0x80000;

// A file with one attribute in the inode; returns the file's inode.
uint32_t add_small(const TestImage& image, const std::string& file, std::string_view name = "user.a") {
  image.debugfs(fmt::format("ea_set {} {} {}", file, name, std::string(20, 'v')));
  return image.inode_of(file);
}

// A file with an attribute too large for the inode.
uint32_t add_large(const TestImage& image, const std::string& file, size_t size = 500, std::string_view name = "user.b") {
  image.debugfs(fmt::format("ea_set {} {} {}", file, name, std::string(size, 'v')));
  return image.inode_of(file);
}

uint64_t inode_entries(const TestImage& image, uint32_t inode) {
  const uint64_t at = image.inode_offset(inode);
  return at + EXT2_GOOD_OLD_INODE_SIZE + image.peek<ext2_inode_large>(at).i_extra_isize + sizeof(uint32_t);
}

uint64_t attribute_block(const TestImage& image, uint32_t inode) {
  return image.offset(image.peek<ext2_inode>(image.inode_offset(inode)).i_file_acl);
}

template <class T>
Place poke_header(const TestImage& image, T ext2_ext_attr_header::* field, T value) {
  const uint32_t inode = add_large(image, "/three");
  image.patch<ext2_ext_attr_header>(attribute_block(image, inode), [&](ext2_ext_attr_header& h) { h.*field = value; });
  return Place{.inode = inode, .block = attribute_block(image, inode) / image.block_size()};
}

template <class T>
Place poke_entry(const TestImage& image, T ext2_ext_attr_entry::* field, T value) {
  const uint32_t inode = add_small(image, "/three");
  image.patch<ext2_ext_attr_entry>(inode_entries(image, inode), [&](ext2_ext_attr_entry& e) { e.*field = value; });
  return Place{.inode = inode};
}

// The inode that holds the value of an attribute of /three, on an image with ea_inode.
uint32_t value_inode(const TestImage& image) {
  const uint32_t inode = add_large(image, "/three", 2000);
  image.debugfs("sif /three blocks 10");  // debugfs forgets the two blocks of the value
  const auto in_inode = image.peek<ext2_ext_attr_entry>(inode_entries(image, inode));
  if (in_inode.e_name_len && in_inode.e_value_inum) return in_inode.e_value_inum;
  return image.peek<ext2_ext_attr_entry>(attribute_block(image, inode) + sizeof(ext2_ext_attr_header)).e_value_inum;
}

// Of /three's attribute whose value lies in an inode, in the attribute's own entry.
Place change_entry_of_value(const TestImage& image, const std::function<void(ext2_ext_attr_entry&)>& change,
                            std::string_view name = {}) {
  (void)value_inode(image);
  const uint32_t inode = image.inode_of("/three");
  const auto first = image.peek<ext2_ext_attr_entry>(inode_entries(image, inode));
  const bool in_inode = first.e_name_len && first.e_value_inum;
  const uint64_t at = in_inode ? inode_entries(image, inode) : attribute_block(image, inode) + sizeof(ext2_ext_attr_header);
  image.patch<ext2_ext_attr_entry>(at, [&](ext2_ext_attr_entry& e) {
    change(e);
    if (!name.empty()) e.e_name_len = static_cast<uint8_t>(name.size());
  });
  if (!name.empty()) image.write(at + sizeof(ext2_ext_attr_entry), std::as_bytes(std::span(name)));
  return Place{.inode = inode};
}

Place set_value_inode(const TestImage& image, std::string_view field, std::string_view value) {
  const uint32_t inode = value_inode(image);
  image.debugfs(fmt::format("sif <{}> {} {}", inode, field, value));
  return Place{.inode = inode};
}

const Scenario kAttributeScenarios[] = {
    {ea_entry, "attribute with a name that runs over the inode", "ext4-plain",
     [](const TestImage& image) { return poke_entry(image, &ext2_ext_attr_entry::e_name_len, uint8_t{250}); }},
    {ea_entry, "attribute in a block without a name index", "ext4-plain",
     [](const TestImage& image) {
       const uint32_t inode = add_large(image, "/three");
       image.patch<ext2_ext_attr_entry>(attribute_block(image, inode) + sizeof(ext2_ext_attr_header),
                                        [](ext2_ext_attr_entry& e) { e.e_name_index = 0; });
       return Place{.inode = inode};
     }},
    {ea_value, "attribute with a value behind the inode's end", "ext4-plain",
     [](const TestImage& image) { return poke_entry(image, &ext2_ext_attr_entry::e_value_offs, uint16_t{2000}); }},
    {ea_value, "attribute with a value larger than the inode", "ext4-plain",
     [](const TestImage& image) { return poke_entry(image, &ext2_ext_attr_entry::e_value_size, uint32_t{0xfffffff0}); }},
    {ea_overlap,
     "attribute with its value on its entry",
     "ext4-plain",
     [](const TestImage& image) { return poke_entry(image, &ext2_ext_attr_entry::e_value_offs, uint16_t{0}); },
     {ea_hash}},
    {ea_hash, "attribute in the inode with another hash", "ext4-plain",
     [](const TestImage& image) { return poke_entry(image, &ext2_ext_attr_entry::e_hash, uint32_t{7}); }},
    {ea_hash, "attribute's value changed in a block", "ext4-plain",
     [](const TestImage& image) {
       const uint32_t inode = add_large(image, "/three");
       image.poke(attribute_block(image, inode) + image.block_size() - 100, 'x');
       return Place{.inode = inode};
     }},
    {ea_order,
     "attributes of a block in the wrong order",
     "ext4-plain",
     [](const TestImage& image) {
       add_large(image, "/three", 300, "user.c");
       const uint32_t inode = add_large(image, "/three", 300, "user.d");
       // Both values are alike, so names and hashes can change places.
       const uint64_t first = attribute_block(image, inode) + sizeof(ext2_ext_attr_header), second = first + EXT2_EXT_ATTR_LEN(1);
       const auto a = image.peek<ext2_ext_attr_entry>(first), b = image.peek<ext2_ext_attr_entry>(second);
       image.poke(first + offsetof(ext2_ext_attr_entry, e_hash), b.e_hash);
       image.poke(second + offsetof(ext2_ext_attr_entry, e_hash), a.e_hash);
       image.poke(first + sizeof a, 'd');
       image.poke(second + sizeof a, 'c');
       return Place{.inode = inode};
     },
     {},
     true},
    {ea_value_inode, "attribute's value inode lost its flag", "ext4-eainode",
     [](const TestImage& image) {
       set_value_inode(image, "flags", fmt::format("{:#x}", kExtentsFlag));
       return Place{.inode = image.inode_of("/three")};
     }},
    {ea_value_inode,
     "value of no bytes in an inode",
     "ext4-eainode",
     [](const TestImage& image) { return change_entry_of_value(image, [](ext2_ext_attr_entry& e) { e.e_value_size = 0; }); },
     {inode_blocks, inode_checksum}},
    {ea_value_inode,
     "inline data in an inode of its own",
     "ext4-eainode",
     [](const TestImage& image) {
       return change_entry_of_value(image, [](ext2_ext_attr_entry& e) { e.e_name_index = 7; }, "data");
     },
     {inode_checksum}},
    {ea_block_header, "attribute block without its magic number", "ext4-plain",
     [](const TestImage& image) { return poke_header(image, &ext2_ext_attr_header::h_magic, uint32_t{7}); }},
    {ea_block_header, "attribute block of two blocks", "ext4-plain",
     [](const TestImage& image) { return poke_header(image, &ext2_ext_attr_header::h_blocks, uint32_t{2}); }},
    {ea_block_refcount, "attribute block with two references counted", "ext4-plain",
     [](const TestImage& image) { return poke_header(image, &ext2_ext_attr_header::h_refcount, uint32_t{2}); }},
    {ea_block_checksum, "attribute block changed without sealing it", "ext4-1k",
     [](const TestImage& image) { return poke_header(image, &ext2_ext_attr_header::h_checksum, uint32_t{7}); }},
    {ea_block_hash,
     "attribute block with another hash",
     "ext4-plain",
     [](const TestImage& image) { return poke_header(image, &ext2_ext_attr_header::h_hash, uint32_t{7}); },
     {},
     true},
    {ea_inode_unreferenced,
     "directory marked as an attribute value",
     "ext4-eainode",
     [](const TestImage& image) {
       image.debugfs("sif /dir/sub/deeper flags 0x280000");
       return Place{.inode = image.inode_of("/dir/sub/deeper")};
     },
     {entry_value_inode, inode_flags},
     true},
    {ea_inode_refcount, "attribute value with seven references counted", "ext4-eainode",
     [](const TestImage& image) { return set_value_inode(image, "version", "7"); }},
    {inode_links, "attribute value with three links", "ext4-eainode",
     [](const TestImage& image) { return set_value_inode(image, "links_count", "3"); }},
    {ea_inode_refcount, "attribute value with the high half of the reference count in the time", "ext4-eainode",
     [](const TestImage& image) { return set_value_inode(image, "ctime", "@1"); }},
    {ea_inode_invalid,
     "attribute value shorter than its attribute",
     "ext4-eainode",
     [](const TestImage& image) { return set_value_inode(image, "size", "1999"); },
     {ea_inode_hash},
     true},
    {ea_inode_hash,
     "attribute value with a changed byte",
     "ext4-eainode",
     [](const TestImage& image) {
       const uint32_t inode = value_inode(image);
       image.poke(image.offset(image.block_of(fmt::format("<{}>", inode))), 'x');
       return Place{.inode = inode};
     },
     {},
     true},
    {inline_data, "inline directory with another size", "ext4-inline",
     [](const TestImage& image) {
       image.debugfs("sif /dir/sub/deeper size 1000");
       return Place{.inode = image.inode_of("/dir/sub/deeper")};
     }},
    {inline_symlink_uncounted,
     "inline symbolic link left out of the count of its attribute block",
     "ext4-inline",
     [](const TestImage& image) {
       const uint32_t inode = add_large(image, "/longlink");
       image.patch<ext2_ext_attr_header>(attribute_block(image, inode), [](ext2_ext_attr_header& h) { h.h_refcount = 0; });
       return Place{.inode = inode};
     },
     {ea_block_checksum, inode_blocks}},
    {encryption_policy, "encrypted file without a policy", "ext4-stable",
     [](const TestImage& image) {
       image.debugfs("sif /three flags 0x80800");
       return Place{.inode = image.inode_of("/three")};
     }},
    {quota_inode,
     "user quota file in the journal's inode",
     "ext4-quota",
     [](const TestImage& image) {
       image.debugfs("ssv usr_quota_inum 8");
       return Place{.field = "s_usr_quota_inum"};
     },
     {quota_file, reserved_inode, quota_usage}},
    {quota_inode_visible,
     "user quota file in an inode for files",
     "ext4-quota",
     [](const TestImage& image) {
       image.debugfs(fmt::format("ssv usr_quota_inum {}", image.inode_of("/small")));
       return Place{.field = "s_usr_quota_inum"};
     },
     {quota_file, reserved_inode, quota_usage}},
    {quota_file,
     "quota file without its magic number",
     "ext4-quota",
     [](const TestImage& image) {
       image.poke(image.offset(image.block_of("<3>")), uint32_t{7});
       return Place{.inode = 3, .field = "dqh_magic"};
     },
     {},
     true},
    {quota_file, "quota file with a tree that leads outside", "ext4-quota",
     [](const TestImage& image) {
       image.poke(image.offset(image.block_of("<4>", 1)) + 4 * 5, uint32_t{70000});
       return Place{.inode = 4};
     }},
    {quota_usage, "file that changed its owner behind the quota's back", "ext4-quota",
     [](const TestImage& image) {
       image.debugfs("sif /three uid 77777");
       return Place{.inode = 3};
     }},
    {quota_usage, "file that changed its project behind the quota's back", "ext4-quota",
     [](const TestImage& image) {
       image.debugfs("sif /three projid 5");
       return Place{.inode = image.superblock().s_prj_quota_inum};
     }},
    {mmp_block, "block of multiple-mount protection without its magic number", "ext4-mmp",
     [](const TestImage& image) {
       const uint64_t block = image.superblock().s_mmp_block;
       image.poke(image.offset(block), uint32_t{7});
       return Place{.block = block, .field = "mmp_magic"};
     }},
    {mmp_checksum, "block of multiple-mount protection changed without sealing it", "ext4-mmp",
     [](const TestImage& image) {
       const uint64_t block = image.superblock().s_mmp_block;
       image.poke(image.offset(block) + offsetof(mmp_struct, mmp_time), uint64_t{7});
       return Place{.block = block};
     }},
    {mmp_in_use,
     "file system that is mounted elsewhere",
     "ext4-mmp",
     [](const TestImage& image) {
       const ext2_super_block super = image.superblock();
       image.patch<mmp_struct>(image.offset(super.s_mmp_block), [&](mmp_struct& mmp) {
         mmp.mmp_seq = 5;
         mmp.mmp_checksum = crc32c(crc32c_of(~0u, super.s_uuid), bytes_of(mmp).first(offsetof(mmp_struct, mmp_checksum)));
       });
       return Place{.block = super.s_mmp_block};
     },
     {},
     true},
    {feature_large_file,
     "file of 3 GiB without the feature large_file",
     "ext4-plain",
     [](const TestImage& image) {
       image.debugfs("sif /runs3 size 3000000000");
       image.debugfs("feature -large_file");
       return Place{.field = "s_feature_ro_compat"};
     },
     {superblock_backup_bad}},
    {inode_symlink, "slow symbolic link with a shorter target than i_size says", "ext4-plain",
     [](const TestImage& image) {
       image.poke(image.offset(image.block_of("/longlink")) + 50, '\0');
       return Place{.inode = image.inode_of("/longlink")};
     }},
    {inode_symlink, "fast symbolic link with a longer target than i_size says", "ext4-plain",
     [](const TestImage& image) {
       image.poke(image.map_offset(image.inode_of("/link")) + 6, 'x');
       return Place{.inode = image.inode_of("/link")};
     }},
};

}  // namespace

std::span<const Scenario> attribute_damage() { return kAttributeScenarios; }

}  // namespace extscrub::test
