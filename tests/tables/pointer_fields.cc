// Where the pointers of a PointerImage lie, and what seals them.
#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "scan/format/dir_block.h"
#include "scan/format/htree.h"
#include "scan/format/quota_format.h"
#include "scan/format/superblock.h"
#include "scan/load/load_file_system.h"
#include "tests/tables/pointer_image.h"

namespace extscrub::test {

namespace {

using Fields = std::vector<PointerField>;

Geometry geometry_of(const TestImage& image) {
  const auto opened = Image::open(image.path());
  const auto fs = load_superblock(*opened, nullptr, {});
  if (!fs) throw std::runtime_error(text_of(fs.error()));
  return fs->geometry;
}

std::vector<std::byte> raw_inode(const TestImage& image, uint32_t ino) {
  std::vector<std::byte> raw(image.superblock().s_inode_size);
  image.read(image.inode_offset(ino), raw);
  return raw;
}

Seal seals_inode(const TestImage& sound, uint32_t ino) {
  return [g = geometry_of(sound), at = sound.inode_offset(ino), ino](const TestImage& image) {
    if (!g.metadata_csum()) return;
    std::vector<std::byte> raw(g.inode_size);
    image.read(at, raw);
    seal_inode(g, InodeNo(ino), raw);
    image.write(at, raw);
  };
}

// Of a block that belongs to an inode: fn(seed, block).
Seal seals_block(const TestImage& sound, uint32_t ino, uint64_t block,
                 const std::function<void(const Geometry&, uint32_t, MutableBytes)>& fn) {
  const Geometry g = geometry_of(sound);
  const auto generation = load<uint32_t>(raw_inode(sound, ino), offsetof(ext2_inode, i_generation));
  return [g, ino, generation, block, fn](const TestImage& image) {
    if (!g.metadata_csum()) return;
    std::vector<std::byte> bytes(g.block_size);
    image.read(image.offset(block), bytes);
    fn(g, inode_seed(g, InodeNo(ino), generation), bytes);
    image.write(image.offset(block), bytes);
  };
}

Seal seals_extent_block(const TestImage& sound, uint32_t ino, uint64_t block) {
  return seals_block(sound, ino, block, [](const Geometry&, uint32_t seed, MutableBytes bytes) {
    store(bytes, extent_tail_offset(bytes), extent_block_checksum(seed, bytes));
  });
}

// A leaf, or the root of an index.
Seal seals_directory_block(const TestImage& sound, uint32_t ino, uint64_t block) {
  return seals_block(sound, ino, block, [](const Geometry&, uint32_t seed, MutableBytes bytes) {
    if (leaf_tail(bytes))
      seal_leaf(seed, bytes);
    else
      seal_htree_node(seed, bytes, kHtreeRootInfo + 8);
  });
}

Seal seals_superblock(const TestImage&) {
  return [](const TestImage& image) {
    ext2_super_block super = image.superblock();
    if (!(super.s_feature_ro_compat & EXT4_FEATURE_RO_COMPAT_METADATA_CSUM)) return;
    super.s_checksum = superblock_checksum(super);
    image.poke(kSuperblockOffset, super);
  };
}

Seal seals_descriptor(const TestImage& sound, uint32_t group) {
  return [g = geometry_of(sound), group](const TestImage& image) {
    if (!g.group_csum()) return;
    std::vector<std::byte> raw(g.desc_size);
    image.read(image.descriptor_offset(group), raw);
    image.poke(image.descriptor_offset(group) + offsetof(ext2_group_desc, bg_checksum),
               group_desc_checksum(g, image.superblock(), GroupNo(group), raw));
  };
}

Seal seals_attribute_block(const TestImage& sound, uint64_t block) {
  return [g = geometry_of(sound), block](const TestImage& image) {
    if (!g.metadata_csum()) return;
    std::vector<std::byte> bytes(g.block_size);
    image.read(image.offset(block), bytes);
    image.poke(image.offset(block) + offsetof(ext2_ext_attr_header, h_checksum), ea_block_checksum(g, BlockNo(block), bytes));
  };
}

// Collects the pointers of one inode's map.
class MapFields {
 public:
  MapFields(const PointerImage& image, uint32_t ino, std::string owner, Fields& fields)
      : image_(image.image), ino_(ino), owner_(std::move(owner)), fields_(fields) {
    const auto raw = raw_inode(image_, ino);
    uid_ = load<uint16_t>(raw, offsetof(ext2_inode, i_uid));
    extents_ = load<uint32_t>(raw, offsetof(ext2_inode, i_flags)) & EXT4_EXTENTS_FL;
  }

  // The first pointers of each level, and of an indirect map's inode these; with `all_levels`, in nodes too.
  void collect(const std::vector<unsigned>& slots, bool all_levels = true) {
    const uint64_t map = image_.map_offset(ino_);
    if (extents_) return collect_extents(map, 0, all_levels);
    for (const unsigned slot : slots) {
      add(fmt::format("i_block[{}]", slot), map + slot * 4, seals_inode(image_, ino_));
      const auto node = image_.peek<uint32_t>(map + slot * 4);
      if (slot >= EXT2_IND_BLOCK && node != 0 && all_levels) collect_node(node, slot - EXT2_IND_BLOCK + 1);
    }
  }

 private:
  void add(const std::string& what, uint64_t at, Seal seal) {
    fields_.push_back({fmt::format("{} of {}", what, owner_), at, ino_, uid_, std::move(seal)});
  }

  // The first entry that is in use, level by level.
  void collect_node(uint32_t node, unsigned level) {
    std::vector<uint32_t> entries(image_.block_size() / 4);
    image_.read(image_.offset(node), std::as_writable_bytes(std::span(entries)));
    const auto first = std::ranges::find_if(entries, [](uint32_t e) { return e != 0; });
    if (first == entries.end()) return;
    add(fmt::format("entry in a node of level {}", level),
        image_.offset(node) + static_cast<uint64_t>(first - entries.begin()) * 4, {});
    if (level > 1) collect_node(*first, level - 1);
  }

  void collect_extents(uint64_t at, uint32_t node, bool all_levels) {
    const auto header = image_.peek<ext3_extent_header>(at);
    const Seal seal = node ? seals_extent_block(image_, ino_, node) : seals_inode(image_, ino_);
    const uint64_t second = header.eh_entries > 1 ? sizeof(ext3_extent) : 0;
    if (header.eh_depth == 0)
      return add(node ? "ee_start in a block" : "ee_start", at + sizeof header + second + offsetof(ext3_extent, ee_start), seal);
    add(node ? "ei_leaf in a block" : "ei_leaf", at + sizeof header + second + offsetof(ext3_extent_idx, ei_leaf), seal);
    const auto child = image_.peek<ext3_extent_idx>(at + sizeof header).ei_leaf;
    if (all_levels) collect_extents(image_.offset(child), child, true);
  }

  const TestImage& image_;
  uint32_t ino_;
  std::string owner_;
  Fields& fields_;
  uint32_t uid_ = 0;
  bool extents_ = false;
};

// The offset of the entry's inode number in the directory's blocks, with what seals it.
PointerField entry_field(const PointerImage& image, const std::string& directory, const std::string& name, uint32_t named) {
  const uint32_t dir = image.inode(directory), size = image.image.block_size();
  for (int64_t logical = 0;; ++logical) {
    const uint32_t block = image.block(dir, logical);
    if (!block) throw std::runtime_error("no entry " + name);
    std::vector<std::byte> bytes(size);
    image.image.read(image.image.offset(block), bytes);
    EntryWalk walk(bytes, size);
    while (const auto entry = walk.next())
      if (entry->name == name && entry->inode)
        return {fmt::format("entry {} of {}", name, directory),
                image.image.offset(block) + entry->offset,
                dir,
                image.before.files.at(directory).uid,
                seals_directory_block(image.image, dir, block),
                {},
                {named},
                PointerField::Kind::other,
                true};
  }
}

PointerField superblock_field(const PointerImage& image, const char* name, size_t offset) {
  return {name, kSuperblockOffset + offset, 0, 0, seals_superblock(image.image), name, {}, PointerField::Kind::other, true};
}

}  // namespace

Fields map_pointers(const PointerImage& image) {
  Fields fields;
  MapFields(image, image.inode("/home/user"), "/home/user", fields).collect({0, 5, 11, 12, 13, 14});
  for (const char* path : {"/home/mid", "/home/deep"})
    if (image.before.files.contains(path)) MapFields(image, image.inode(path), path, fields).collect({});
  MapFields(image, image.inode("/home/short"), "/home/short", fields).collect({0});
  MapFields(image, image.inode("/home/link"), "/home/link", fields).collect({0});
  for (const char* path : {"/home/short", "/home/acl"}) {
    const uint32_t ino = image.inode(path);
    fields.push_back({fmt::format("i_file_acl of {}", path), image.image.inode_offset(ino) + offsetof(ext2_inode, i_file_acl),
                      ino, kUser, seals_inode(image.image, ino)});
  }
  return fields;
}

Fields directory_map_pointers(const PointerImage& image) {
  Fields fields;
  for (const char* path : {"/", "/home", "/home/sub", "/lost+found"})
    MapFields(image, image.inode(path), path, fields).collect({0});
  MapFields(image, image.inode("/home/dir"), "/home/dir", fields).collect({0, 1, 2});
  for (PointerField& field : fields) field.kind = PointerField::Kind::directory_map;
  return fields;
}

Fields own_map_pointers(const PointerImage& image) {
  Fields fields;
  const ext2_super_block super = image.image.superblock();
  if (super.s_feature_compat & EXT3_FEATURE_COMPAT_HAS_JOURNAL)
    MapFields(image, EXT2_JOURNAL_INO, "the journal", fields).collect({0, 3, 12, 13});
  if (super.s_feature_compat & EXT2_FEATURE_COMPAT_RESIZE_INODE)
    MapFields(image, EXT2_RESIZE_INO, "the resize inode", fields).collect({13});
  if (super.s_usr_quota_inum) MapFields(image, super.s_usr_quota_inum, "the user quota file", fields).collect({0, 2});
  if (super.s_feature_compat & EXT4_FEATURE_COMPAT_ORPHAN_FILE)
    MapFields(image, super.s_orphan_file_inum, "the orphan file", fields).collect({0});
  for (PointerField& field : fields) field.redundant = true;
  return fields;
}

Fields inode_pointers(const PointerImage& image) {
  Fields fields;
  fields.push_back(entry_field(image, "/home", "user", image.inode("/home/user")));
  fields.push_back(entry_field(image, "/home", "sub", image.inode("/home/sub")));
  fields.push_back(entry_field(image, "/", "home", image.inode("/home")));
  fields.push_back(entry_field(image, "/home/dir", fmt::format("{}{:030}", mark_of(kUser), 7),
                               image.inode(fmt::format("/home/dir/{}{:030}", mark_of(kUser), 7))));
  fields.push_back(entry_field(image, "/home/sub", "..", image.inode("/home")));
  fields.push_back(entry_field(image, "/home/sub", ".", image.inode("/home/sub")));
  fields.push_back(entry_field(image, "/home/dir", "..", image.inode("/home")));
  const ext2_super_block super = image.image.superblock();
  const uint32_t orphan = super.s_last_orphan;
  fields.push_back({"i_dtime of an orphan",
                    image.image.inode_offset(orphan) + offsetof(ext2_inode, i_dtime),
                    orphan,
                    kUser,
                    seals_inode(image.image, orphan),
                    "2 orphans",
                    {},
                    PointerField::Kind::other,
                    true});
  if (super.s_feature_incompat & EXT4_FEATURE_INCOMPAT_EA_INODE) {
    const uint32_t ino = image.inode("/home/value");
    const uint64_t body = image.image.inode_offset(ino);
    const uint64_t entries = body + EXT2_GOOD_OLD_INODE_SIZE + image.image.peek<uint16_t>(body + EXT2_GOOD_OLD_INODE_SIZE) + 4;
    if (image.image.peek<ext2_ext_attr_entry>(entries).e_value_inum)
      fields.push_back({"e_value_inum in the inode", entries + offsetof(ext2_ext_attr_entry, e_value_inum), ino, kUser,
                        seals_inode(image.image, ino)});
    const uint32_t block = image.block(ino, kAttributes);
    if (block) {
      const uint64_t at = image.image.offset(block) + sizeof(ext2_ext_attr_header) + offsetof(ext2_ext_attr_entry, e_value_inum);
      if (image.image.peek<uint32_t>(at))
        fields.push_back({"e_value_inum in a block", at, ino, kUser, seals_attribute_block(image.image, block)});
    }
  }
  return fields;
}

Fields descriptor_pointers(const PointerImage& image) {
  Fields fields;
  const auto groups =
      static_cast<uint32_t>((image.image.size() / image.image.block_size() + image.image.superblock().s_blocks_per_group - 2) /
                            image.image.superblock().s_blocks_per_group);
  for (const uint32_t group : {0u, groups - 1})
    for (const auto& [name, offset] : {std::pair("bg_block_bitmap", offsetof(ext2_group_desc, bg_block_bitmap)),
                                       std::pair("bg_inode_bitmap", offsetof(ext2_group_desc, bg_inode_bitmap)),
                                       std::pair("bg_inode_table", offsetof(ext2_group_desc, bg_inode_table))})
      fields.push_back({fmt::format("{} of group {}", name, group),
                        image.image.descriptor_offset(group) + offset,
                        0,
                        0,
                        seals_descriptor(image.image, group),
                        name,
                        {},
                        PointerField::Kind::other,
                        true});
  return fields;
}

Fields superblock_block_pointers(const PointerImage& image) {
  Fields fields{superblock_field(image, "s_first_data_block", offsetof(ext2_super_block, s_first_data_block))};
  if (image.image.superblock().s_feature_incompat & EXT4_FEATURE_INCOMPAT_MMP)
    fields.push_back(superblock_field(image, "s_mmp_block", offsetof(ext2_super_block, s_mmp_block)));
  return fields;
}

Fields superblock_inode_pointers(const PointerImage& image) {
  const ext2_super_block super = image.image.superblock();
  Fields fields{superblock_field(image, "s_last_orphan", offsetof(ext2_super_block, s_last_orphan)),
                superblock_field(image, "s_lpf_ino", offsetof(ext2_super_block, s_lpf_ino))};
  if (super.s_feature_compat & EXT3_FEATURE_COMPAT_HAS_JOURNAL)
    fields.push_back(superblock_field(image, "s_journal_inum", offsetof(ext2_super_block, s_journal_inum)));
  if (super.s_usr_quota_inum)
    fields.push_back(superblock_field(image, "s_usr_quota_inum", offsetof(ext2_super_block, s_usr_quota_inum)));
  if (super.s_grp_quota_inum)
    fields.push_back(superblock_field(image, "s_grp_quota_inum", offsetof(ext2_super_block, s_grp_quota_inum)));
  if (super.s_prj_quota_inum)
    fields.push_back(superblock_field(image, "s_prj_quota_inum", offsetof(ext2_super_block, s_prj_quota_inum)));
  if (super.s_feature_compat & EXT4_FEATURE_COMPAT_ORPHAN_FILE)
    fields.push_back(superblock_field(image, "s_orphan_file_inum", offsetof(ext2_super_block, s_orphan_file_inum)));
  return fields;
}

Fields group_pointers(const PointerImage& image) {
  if (!(image.image.superblock().s_feature_compat & EXT4_FEATURE_COMPAT_SPARSE_SUPER2)) return {};
  const size_t at = offsetof(ext2_super_block, s_backup_bgs);
  Fields fields{superblock_field(image, "s_backup_bgs", at), superblock_field(image, "s_backup_bgs", at + 4)};
  fields[1].name = "s_backup_bgs[1]";
  return fields;
}

Fields logical_pointers(const PointerImage& image) {
  Fields fields;
  const uint32_t dir = image.inode("/home/dir"), root = image.block(dir, 0);
  for (const unsigned entry : {0u, 1u}) {
    const uint64_t at = image.image.offset(root) + kHtreeRootInfo + 8 + entry * 8 + 4;
    fields.push_back({fmt::format("dx_entry[{}] of /home/dir", entry),
                      at,
                      dir,
                      kUser,
                      seals_directory_block(image.image, dir, root),
                      {},
                      {},
                      PointerField::Kind::other,
                      true});
  }
  if (const uint32_t quota = image.image.superblock().s_usr_quota_inum) {
    const uint64_t tree = image.image.offset(image.block(quota, 1));
    fields.push_back({"root of the user quota tree", tree, quota, 0, {}, {}, {}, PointerField::Kind::other, true});
    const uint32_t next = image.image.peek<uint32_t>(tree);
    fields.push_back({"node of the user quota tree",
                      image.image.offset(image.block(quota, next)),
                      quota,
                      0,
                      {},
                      {},
                      {},
                      PointerField::Kind::other,
                      true});
  }
  return fields;
}

std::vector<PointerTarget> block_targets(const PointerImage& image, const PointerField& field) {
  const TestImage& i = image.image;
  const uint32_t secret = image.inode("/secret"), other = image.inode("/other/data");
  const auto blocks = static_cast<uint32_t>(i.size() / i.block_size());
  const uint32_t super = static_cast<uint32_t>(kSuperblockOffset / i.block_size());
  std::vector<PointerTarget> all = {
      {"the superblock", super},
      {"a descriptor block", super + 1},
      {"a block bitmap", i.descriptor(0).bg_block_bitmap},
      {"an inode bitmap", i.descriptor(0).bg_inode_bitmap},
      {"the inode table", i.descriptor(0).bg_inode_table + 1},
      {"root's data", image.block(secret, 6)},
      {"root's only block", image.block(image.inode("/secret-short"), 0)},
      {"another's data", image.block(other, 8)},
      {"another's directory", image.block(image.inode("/hidden"), 0)},
      {"another's map block", image.block(secret, -1)},
      {"another's attribute block", image.block(secret, kAttributes)},
      {"the journal", image.block(EXT2_JOURNAL_INO, 5)},
      {"a free block", image.free_block(image.block(secret, 0))},
      {"itself", static_cast<uint32_t>(field.at / i.block_size())},
      {"block 0", 0},
      {"a block out of range", blocks + 7},
      {"a block far out of range", 0xFFFFFFF0},
  };
  std::erase_if(all, [&](const PointerTarget& t) { return t.value == 0 && t.name != "block 0"; });
  return all;
}

std::vector<PointerTarget> inode_targets(const PointerImage& image, const PointerField& field) {
  const ext2_super_block super = image.image.superblock();
  return {{"a free inode", super.s_inodes_count - 3},
          {"a reserved inode", 9},
          {"the root", EXT2_ROOT_INO},
          {"another's file", image.inode("/secret-short")},
          {"another user's file", image.inode("/other/data")},
          {"a directory", image.inode("/hidden")},
          {"the journal", EXT2_JOURNAL_INO},
          {"lost+found", image.inode("/lost+found")},
          {"itself", field.inode ? field.inode : image.inode("/uninvolved")},
          {"an inode out of range", super.s_inodes_count + 5},
          {"inode 0", 0}};
}

std::vector<PointerTarget> logical_targets(const PointerImage&, const PointerField&) {
  return {{"block 0", 0},
          {"block 1", 1},
          {"block 2", 2},
          {"block 3", 3},
          {"a block behind the end", 60},
          {"a block far behind the end", 0xFFFFFF0}};
}

std::vector<PointerTarget> group_targets(const PointerImage& image, const PointerField&) {
  const uint32_t groups =
      static_cast<uint32_t>(image.image.size() / image.image.block_size()) / image.image.superblock().s_blocks_per_group;
  return {{"group 0", 0}, {"a group without a backup", 2}, {"a group out of range", groups + 9}};
}

}  // namespace extscrub::test
