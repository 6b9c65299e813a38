#include "scan/load/cut_image.h"

#include <algorithm>
#include <optional>

#include "scan/load/superblock_evidence.h"

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

// Whether another superblock says the same number of blocks; nothing where no other one can be read.
std::optional<bool> another_agrees(const FileSystem& fs) {
  const Geometry& g = fs.geometry;
  std::optional<bool> agrees;
  for (GroupNo group; group.value < g.groups && g.group_first(group).value < blocks_there(fs) && !agrees.value_or(false);
       ++group) {
    if (!g.has_super(group) || g.super_block(group) == fs.super_block) continue;
    if (const auto copy = read_superblock(fs, group); copy && copy->s_magic == EXT2_SUPER_MAGIC)
      agrees = same_uuid(fs.super, *copy) && same_size(fs.super, *copy);
  }
  return agrees;
}

// A file system of fewer blocks has no descriptors for groups behind its end.
bool are_for_all_groups(const FileSystem& fs, const std::vector<GroupDesc>& groups) {
  const Geometry& g = fs.geometry;
  for (GroupNo group; group.value < g.groups; ++group) {
    const GroupDesc& d = groups[group.value];
    if (!d.readable && group.value / g.desc_per_block >= g.first_meta_bg) continue;
    if (!d.checksum_ok || !names_places(g, group, d)) return false;
  }
  return true;
}

// The bitmap of a last group that is there in part: only blocks of the file system can be free in it.
bool last_bitmap_fits(const FileSystem& fs, BlockNo at) {
  const Geometry& g = fs.geometry;
  const GroupNo last(g.groups - 1);
  std::vector<std::byte> bitmap(g.block_size);
  if (at.value >= blocks_there(fs) || !fs.blocks->read(at, bitmap)) return false;
  bool any_free = false;
  for (uint64_t bit = (blocks_there(fs) - g.group_first(last).value) >> g.cluster_bits; bit < g.clusters(last); ++bit)
    any_free = any_free || !test_bit(bitmap, bit);
  return any_free && ends_with_last_group(g, bitmap);
}

bool structure_fits(const FileSystem& fs) {
  const Geometry& g = fs.geometry;
  if (!descriptors_are_there(fs)) return false;
  const auto agrees = another_agrees(fs);
  if (agrees == false) return false;
  const std::vector<GroupDesc> groups = read_descriptors(fs, GroupNo());
  if (!are_for_all_groups(fs, groups)) return false;
  const bool lacks_groups = g.group_first(GroupNo(g.groups - 1)).value >= blocks_there(fs);
  return agrees || lacks_groups || last_bitmap_fits(fs, groups.back().block_bitmap);
}

}  // namespace

bool is_cut_short(const FileSystem& fs) {
  const Geometry& g = fs.geometry;
  if (g.blocks <= blocks_there(fs) || g.blocks / kLeastShare > blocks_there(fs)) return false;
  if (fs.super.s_inodes_count != g.inodes) return false;
  if (g.metadata_csum()) return fs.super_checksum_ok;
  return structure_fits(ReadableCopy(fs).fs);
}

}  // namespace extscrub
