#include "scan/load/superblock_evidence.h"

#include <sys/stat.h>

#include <algorithm>
#include <tuple>

#include "scan/filesystem/inode_table.h"
#include "scan/format/checksum.h"
#include "scan/format/dir_block.h"
#include "scan/map/misplaced_directory.h"

namespace extscrub {

namespace {

// At least half of them where checksums tell; all, and no more behind the last one, where nothing else does.
bool descriptors_fit(const FileSystem& fs) {
  const Geometry& g = fs.geometry;
  uint32_t right = 0;
  for (GroupNo group; group.value < g.groups; ++group)
    right += names_places(g, group, fs.groups[group.value]) && fs.groups[group.value].checksum_ok;
  if (g.group_csum()) return uint64_t{2} * right >= g.groups;
  if (right < g.groups) return false;
  const uint32_t in_last = g.groups % g.desc_per_block;
  if (in_last == 0) return true;
  std::vector<std::byte> block(g.block_size);
  if (!fs.blocks->read(g.desc_block(g.groups / g.desc_per_block, GroupNo()), block)) return false;
  return std::ranges::all_of(Bytes(block).subspan(size_t{in_last} * g.desc_size), [](std::byte b) { return b == std::byte{}; });
}

bool bitmap_ends_there(const FileSystem& fs) {
  std::vector<std::byte> bitmap(fs.geometry.block_size);
  return fs.blocks->read(fs.groups.back().block_bitmap, bitmap) && ends_with_last_group(fs.geometry, bitmap);
}

bool root_fits(const FileSystem& fs) {
  const Geometry& g = fs.geometry;
  const InodeNo root(EXT2_ROOT_INO);
  std::vector<std::byte> raw(g.inode_size);
  if (!read_inode(fs, root, raw)) return false;
  const Inode inode(g, root, raw);
  if (g.metadata_csum()) return fits_inode_checksum(g, root, raw) && inode.type() == FileType::directory;
  return begins_like_directory(fs, inode);
}

}  // namespace

bool fits_its_place(const FileSystem& fs) {
  ReadableCopy copy(fs);
  FileSystem& looked = copy.fs;
  looked.groups = read_descriptors(looked, GroupNo());
  const bool described = descriptors_fit(looked);
  if (fs.geometry.group_csum()) return described || (fs.geometry.metadata_csum() && root_fits(looked));
  return described && root_fits(looked) && bitmap_ends_there(looked);
}

bool fits_by_checksums(const FileSystem& fs) {
  if (!fs.geometry.metadata_csum()) return false;
  ReadableCopy copy(fs);
  copy.fs.groups = read_descriptors(copy.fs, GroupNo());
  return descriptors_fit(copy.fs) && root_fits(copy.fs);
}

namespace {

// The first block of a directory's inode as it lies in a table: from an extent in the inode, or the first of i_block.
uint64_t first_block_of(Bytes raw) {
  const auto inode = load<ext2_inode>(raw);
  if (!S_ISDIR(inode.i_mode)) return 0;
  if (!(inode.i_flags & EXT4_EXTENTS_FL)) return inode.i_block[0];
  const auto header = load<ext3_extent_header>(bytes_of(inode.i_block));
  const auto extent = load<ext3_extent>(bytes_of(inode.i_block), sizeof header);
  if (header.eh_magic != EXT3_EXT_MAGIC || header.eh_depth != 0 || header.eh_entries == 0) return 0;
  return uint64_t{extent.ee_start_hi} << 32 | extent.ee_start;
}

// `.` and `..`, both of the root.
bool is_root_block(Bytes block) {
  EntryWalk walk(block, static_cast<uint32_t>(block.size()));
  const auto dot = walk.next(), dotdot = walk.next();
  return dot && dotdot && dot->name == "." && dotdot->name == ".." && dot->inode.value == EXT2_ROOT_INO &&
         dotdot->inode.value == EXT2_ROOT_INO;
}

// Whether the second inode of a table at block `table` is a root directory's.
bool has_root(const Image& image, uint64_t table, uint32_t block_size, uint32_t inode_size) {
  std::vector<std::byte> raw(EXT2_GOOD_OLD_INODE_SIZE), block(block_size);
  if (table == 0 || table > image.size() / block_size || !image.read(table * block_size + inode_size, raw)) return false;
  const uint64_t first = first_block_of(raw);
  return first != 0 && first < image.size() / block_size && image.read(first * block_size, block) && is_root_block(block);
}

}  // namespace

bool another_root_is_there(const FileSystem& fs) {
  const Geometry& g = fs.geometry;
  const Image& image = *fs.image;
  const std::vector<GroupDesc> copies = read_descriptors(ReadableCopy(fs).fs, g.group_of(fs.super_block));
  for (uint32_t bits = EXT2_MIN_BLOCK_LOG_SIZE; bits <= EXT2_MAX_BLOCK_LOG_SIZE; ++bits) {
    const uint32_t block_size = 1u << bits;
    ext4_group_desc d{};
    if (!image.read(uint64_t{bits == EXT2_MIN_BLOCK_LOG_SIZE ? 2u : 1u} * block_size, mutable_bytes_of(d))) continue;
    const bool own = block_size == g.block_size && d.bg_inode_table == static_cast<uint32_t>(copies.front().inode_table.value);
    if (own) continue;
    for (uint32_t inode_size = EXT2_GOOD_OLD_INODE_SIZE; inode_size <= 1024; inode_size *= 2)
      if (has_root(image, d.bg_inode_table, block_size, inode_size)) return true;
  }
  return false;
}

bool names_places(const Geometry& g, GroupNo group, const GroupDesc& d) {
  return d.readable && valid_location(g, group, d.block_bitmap, 1) && valid_location(g, group, d.inode_bitmap, 1) &&
         valid_location(g, group, d.inode_table, g.itable_blocks);
}

bool ends_with_last_group(const Geometry& g, Bytes bitmap) {
  for (uint64_t bit = g.clusters(GroupNo(g.groups - 1)); bit < bitmap.size() * 8; ++bit)
    if (!test_bit(bitmap, bit)) return false;
  return true;
}

bool same_uuid(const ext2_super_block& a, const ext2_super_block& b) { return std::ranges::equal(a.s_uuid, b.s_uuid); }

bool same_size(const ext2_super_block& a, const ext2_super_block& b) {
  const auto size = [](const ext2_super_block& s) {
    const bool high = s.s_feature_incompat & EXT4_FEATURE_INCOMPAT_64BIT;
    return std::tuple(s.s_blocks_count, high ? s.s_blocks_count_hi : 0, s.s_blocks_per_group);
  };
  return size(a) == size(b);
}

bool same_numbers(const ext2_super_block& primary, const ext2_super_block& backup) {
  const auto numbers = [](const ext2_super_block& s) {
    const bool clusters = s.s_feature_ro_compat & EXT4_FEATURE_RO_COMPAT_BIGALLOC;
    return std::tuple(s.s_inodes_count, s.s_first_data_block, s.s_log_block_size, clusters ? s.s_log_cluster_size : 0,
                      s.s_inodes_per_group);
  };
  if (!same_size(primary, backup) || numbers(primary) != numbers(backup) || primary.s_rev_level < backup.s_rev_level)
    return false;
  if (primary.s_rev_level > backup.s_rev_level) return true;
  return primary.s_inode_size == backup.s_inode_size && primary.s_first_ino == backup.s_first_ino;
}

}  // namespace extscrub
