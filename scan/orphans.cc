#include "scan/orphans.h"

#include <set>

#include "scan/inode_table.h"

namespace extscrub {

std::vector<InodeNo> read_orphan_list(const FileSystem& fs) {
  // The kernel drops the list of a file system that is marked with errors: what is on it is not released.
  if (fs.super.s_state & EXT2_ERROR_FS) return {};
  std::set<InodeNo> seen;
  std::vector<std::byte> raw(fs.geometry.inode_size);
  InodeNo next(fs.super.s_last_orphan);
  while (next && fs.geometry.valid_inode(next) && seen.insert(next).second) {
    if (!read_inode(fs, next, raw)) break;
    next = InodeNo(load<uint32_t>(raw, offsetof(ext2_inode, i_dtime)));
  }
  return {seen.begin(), seen.end()};
}

}  // namespace extscrub
