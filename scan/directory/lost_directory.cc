#include "scan/directory/lost_directory.h"

#include <sys/stat.h>

#include <algorithm>

#include "scan/filesystem/inode_table.h"
#include "scan/format/checksum.h"
#include "scan/format/dir_block.h"

namespace extscrub {

namespace {

// A file that could have a map, or a directory without links. One with links, or that waits on the orphan list, is what it
// says; one without links and without a time of deletion is a finding of its own.
bool may_be_lost(const FileSystem& fs, const Inode& inode) {
  const ext2_inode& base = inode.base();
  if (inode.is(EXT4_INLINE_DATA_FL) || std::ranges::binary_search(fs.orphans, inode.number())) return false;
  if (base.i_links_count > 0) return inode.type() == FileType::regular || inode.type() == FileType::symlink;
  return inode.type() == FileType::directory && base.i_dtime != 0;
}

// `.` for the inode, `..` for the parent; and where the block ends as a leaf's does, the inode's checksum.
bool is_first_block(const Geometry& g, const Inode& inode, InodeNo parent, Bytes block) {
  EntryWalk walk(block, g.block_size);
  const auto dot = walk.next();
  if (!dot || dot->name != "." || dot->inode != inode.number()) return false;
  const auto dotdot = walk.next();
  if (!dotdot || dotdot->name != ".." || dotdot->inode != parent) return false;
  if (!g.metadata_csum()) return true;
  const auto tail = leaf_tail(block);
  return !tail || *tail == leaf_checksum(inode_seed(g, inode.number(), inode.base().i_generation), block);
}

}  // namespace

bool is_lost_directory(const FileSystem& fs, const InodeScan& scan, InodeNo ino, InodeNo parent) {
  const Geometry& g = fs.geometry;
  std::vector<std::byte> raw(g.inode_size);
  if (!read_inode(fs, ino, raw)) return false;
  // Walked as the directory that it may be: a short symbolic link has no map.
  std::vector<std::byte> as_directory = raw;
  store(as_directory, offsetof(ext2_inode, i_mode), static_cast<uint16_t>(S_IFDIR | 0700));
  const Inode inode(g, ino, raw), directory(g, ino, as_directory);
  if (!may_be_lost(fs, inode) || directory.block_area_is_blank()) return false;
  RunList list;
  if (!MapWalker(fs).walk(directory, list).whole || list.runs.empty() || list.runs.front().logical != 0) return false;
  if (inode.base().i_links_count == 0 && scan.claims_any(g, list)) return false;
  std::vector<std::byte> block(g.block_size);
  return fs.blocks->read(list.runs.front().physical, block) && is_first_block(g, inode, parent, block);
}

}  // namespace extscrub
