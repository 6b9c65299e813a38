#include "scan/cut_image.h"

#include <algorithm>
#include <optional>

namespace extscrub {

namespace {

constexpr uint64_t kLeastShare = 100;  // one block of as many has to be there: what is missing costs memory too

uint64_t blocks_there(const FileSystem& fs) { return fs.image->size() >> fs.geometry.block_bits; }

// Blocks of the copy of the descriptors in group 0; with meta_bg the others lie in their own groups.
bool descriptors_are_there(const FileSystem& fs) {
  const Geometry& g = fs.geometry;
  const uint32_t together = std::min(g.desc_blocks, g.first_meta_bg);
  return g.super_block(GroupNo()).value + 1 + together <= blocks_there(fs);
}

// The same file system, with as many blocks.
bool is_copy(const ext2_super_block& a, const ext2_super_block& b) {
  return b.s_magic == EXT2_SUPER_MAGIC && a.s_blocks_count == b.s_blocks_count && a.s_blocks_count_hi == b.s_blocks_count_hi &&
         a.s_blocks_per_group == b.s_blocks_per_group && std::ranges::equal(a.s_uuid, b.s_uuid);
}

// Whether another superblock says the same number of blocks; nothing where no other one can be read.
std::optional<bool> another_agrees(const FileSystem& fs) {
  const Geometry& g = fs.geometry;
  std::optional<bool> agrees;
  for (GroupNo group; group.value < g.groups && g.group_first(group).value < blocks_there(fs) && !agrees.value_or(false); ++group) {
    if (!g.has_super(group) || g.super_block(group) == fs.super_block) continue;
    if (const auto copy = read_superblock(fs, group); copy && copy->s_magic == EXT2_SUPER_MAGIC) agrees = is_copy(fs.super, *copy);
  }
  return agrees;
}

// A file system of fewer blocks has no descriptors for groups behind its end.
bool descriptors_fit(const FileSystem& fs) {
  const Geometry& g = fs.geometry;
  const std::vector<GroupDesc> groups = read_descriptors(fs, GroupNo());
  for (GroupNo group; group.value < g.groups; ++group) {
    const GroupDesc& d = groups[group.value];
    if (!d.readable && group.value / g.desc_per_block >= g.first_meta_bg) continue;
    if (!d.readable || !d.checksum_ok || !valid_location(g, group, d.block_bitmap, 1) || !valid_location(g, group, d.inode_bitmap, 1) ||
        !valid_location(g, group, d.inode_table, g.itable_blocks))
      return false;
  }
  return true;
}

// The bitmap of a last group that is there in part: only blocks of the file system can be free in it.
bool last_bitmap_fits(const FileSystem& fs) {
  const Geometry& g = fs.geometry;
  const GroupNo last(g.groups - 1);
  const BlockNo at = read_descriptors(fs, GroupNo())[last.value].block_bitmap;
  std::vector<std::byte> bitmap(g.block_size);
  if (at.value >= blocks_there(fs) || !fs.blocks->read(at, bitmap)) return false;
  const auto in_use = [&](uint64_t bit) { return std::to_integer<unsigned>(bitmap[bit / 8]) >> bit % 8 & 1; };
  bool any_free = false;
  for (uint64_t bit = (blocks_there(fs) - g.group_first(last).value) >> g.cluster_bits; bit < g.clusters(last); ++bit)
    any_free = any_free || !in_use(bit);
  for (uint64_t bit = g.clusters(last); bit < uint64_t{g.block_size} * 8; ++bit)
    if (!in_use(bit)) return false;
  return any_free;
}

bool structure_fits(const FileSystem& fs) {
  const Geometry& g = fs.geometry;
  if (!descriptors_are_there(fs)) return false;
  const auto agrees = another_agrees(fs);
  if (agrees) return *agrees && descriptors_fit(fs);
  if (!descriptors_fit(fs)) return false;
  const bool lacks_groups = g.group_first(GroupNo(g.groups - 1)).value >= blocks_there(fs);
  return lacks_groups || last_bitmap_fits(fs);
}

}  // namespace

bool is_cut_short(const FileSystem& fs) {
  const Geometry& g = fs.geometry;
  if (g.blocks <= blocks_there(fs) || g.blocks / kLeastShare > blocks_there(fs)) return false;
  if (fs.super.s_inodes_count != g.inodes) return false;
  if (g.metadata_csum()) return fs.super_checksum_ok;
  if (fs.blocks) return structure_fits(fs);
  const Overlay plain(*fs.image, g.block_size);
  FileSystem readable = fs;
  readable.blocks = &plain;
  return structure_fits(readable);
}

}  // namespace extscrub
