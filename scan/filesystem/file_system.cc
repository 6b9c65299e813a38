#include "scan/filesystem/file_system.h"

namespace extscrub {

std::vector<GroupDesc> read_descriptors(const FileSystem& fs, GroupNo copy) {
  const Geometry& g = fs.geometry;
  std::vector<GroupDesc> groups(g.groups);
  std::vector<std::byte> block(g.block_size);
  for (uint32_t index = 0; index < g.desc_blocks; ++index) {
    const BlockNo at = g.desc_block(index, copy);
    const bool readable = g.contains(at) && fs.blocks->read(at, block).has_value();
    for (uint32_t i = 0; i < g.desc_per_block; ++i) {
      const GroupNo group(index * g.desc_per_block + i);
      if (group.value >= g.groups) break;
      GroupDesc& d = groups[group.value];
      if (readable) d = decode_group_desc(g, fs.super, group, Bytes(block).subspan(size_t{i} * g.desc_size, g.desc_size));
      d.readable = readable;
    }
  }
  return groups;
}

GroupDesc descriptor_to_store(const FileSystem& fs, GroupNo group) {
  GroupDesc d = fs.groups[group.value];
  for (const MovedStructure& m : fs.moved)
    if (m.group == group && m.is_lost()) place_in(d, m.kind) = m.stored;
  return d;
}

void lay_out_metadata(FileSystem& fs) {
  const Geometry& g = fs.geometry;
  const bool mmp = g.has_incompat(EXT4_FEATURE_INCOMPAT_MMP);
  fs.metadata = MetadataMap::build(g, fs.groups, BlockNo(mmp ? fs.super.s_mmp_block : 0));
}

Result<ext2_super_block> read_superblock(const FileSystem& fs, GroupNo group) {
  const Geometry& g = fs.geometry;
  std::vector<std::byte> block(g.block_size);
  const BlockNo at = g.super_block(group);
  if (auto r = fs.blocks->read(at, block); !r) return std::unexpected(r.error());
  return load<ext2_super_block>(block, at.value == 0 ? kSuperblockOffset : 0);
}

}  // namespace extscrub
