#include "scan/directory/link_facts.h"

#include <algorithm>

#include "scan/filesystem/inode_table.h"

namespace extscrub {

namespace {

// Inodes in use that no directory names.
bool has_no_name(const FileSystem& fs, const InodeScan& scan, InodeNo ino) {
  const Geometry& g = fs.geometry;
  const ext2_super_block& s = fs.super;
  const uint32_t n = ino.value;
  if (n < g.first_inode) return true;
  if (g.has_ro_compat(EXT4_FEATURE_RO_COMPAT_QUOTA) &&
      (n == s.s_usr_quota_inum || n == s.s_grp_quota_inum || n == s.s_prj_quota_inum))
    return true;
  if (g.has_compat(EXT4_FEATURE_COMPAT_ORPHAN_FILE) && n == s.s_orphan_file_inum) return true;
  return std::ranges::binary_search(scan.directories.exempt, ino);
}

}  // namespace

std::vector<LinkFacts> wrong_links(const FileSystem& fs, const InodeScan& scan, const std::vector<InodeNo>& excess) {
  std::vector<LinkFacts> facts;
  std::vector<std::byte> raw(fs.geometry.inode_size);
  const auto stored_links = [&](InodeNo ino) -> uint32_t {
    return read_inode(fs, ino, raw) ? load<uint16_t>(raw, offsetof(ext2_inode, i_links_count)) : 0;
  };
  // The attributes that use an ea_inode count as one link together.
  const auto used_by_attributes = [&](InodeNo ino) { return scan.holds_ea_value(ino) ? 1u : 0u; };

  for (GroupNo group; group.value < fs.geometry.groups; ++group) {
    scan.links.for_each_left(group, [&](InodeNo ino, uint32_t left) {
      if (has_no_name(fs, scan, ino) || left == used_by_attributes(ino)) return;
      const uint32_t links = stored_links(ino);
      facts.push_back({ino, links, links - std::min(links, left) + used_by_attributes(ino)});
    });
  }
  for (const LinkTable::Counted& c : scan.links.counted()) {
    const uint32_t found = c.found + used_by_attributes(c.inode);
    if (found != c.links && !has_no_name(fs, scan, c.inode)) facts.push_back({c.inode, c.links, found});
  }
  for (auto it = excess.begin(); it != excess.end();) {
    const auto end = std::upper_bound(it, excess.end(), *it);
    const uint32_t links = stored_links(*it);
    if (!has_no_name(fs, scan, *it))
      facts.push_back({*it, links, links + static_cast<uint32_t>(end - it) + used_by_attributes(*it)});
    it = end;
  }
  std::ranges::sort(facts, {}, &LinkFacts::inode);
  return facts;
}

}  // namespace extscrub
