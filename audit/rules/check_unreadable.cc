#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "audit/rules/rules.h"

namespace extscrub {

namespace {

std::string inodes_on(const Geometry& g, const MetadataExtent& table, BlockNo first, uint64_t count) {
  const auto per_block = static_cast<uint64_t>(g.block_size / g.inode_size);
  const uint64_t begin = (first - table.first) * per_block;
  const uint64_t end = std::min<uint64_t>(begin + count * per_block, g.inodes_per_group);
  const InodeNo ino = g.group_first_inode(table.group);
  return fmt::format("inode table, inodes {}-{}", ino.value + begin, ino.value + end - 1);
}

Unreadable what_is_lost(const FileSystem& fs, const Owner& o, bool is_directory, BlockNo first, uint64_t count) {
  const Geometry& g = fs.geometry;
  switch (o.use) {
    case Owner::Use::metadata:
      if (const MetadataExtent* e = fs.metadata.find(first); e && e->kind == MetadataKind::inode_table)
        return {UnreadPart::inode_table, inodes_on(g, *e, first, count)};
      return {unread_part(o.metadata), std::string(name(o.metadata))};
    case Owner::Use::map_node: return {UnreadPart::other, "node of the block map"};
    case Owner::Use::ea_block: return {UnreadPart::attribute_block, "attribute block"};
    case Owner::Use::data: break;
  }
  if (is_directory) return {UnreadPart::directory, "directory"};
  const uint64_t begin = (o.logical + (first - o.first)) << g.block_bits, end = begin + (count << g.block_bits);
  if (begin >= o.file_size) return {UnreadPart::other, "behind the end of the file"};
  return {UnreadPart::other, fmt::format("bytes {}-{}", begin, std::min(end, o.file_size) - 1)};
}

}  // namespace

void check_unreadable(const FileSystem& fs, const DirectoryTable& directories, const std::vector<Owner>& owners,
                      Findings& findings) {
  std::set<BlockNo> known;
  for (const Finding& f : findings)
    if (f.problem == Problem::read_error && f.block) known.insert(*f.block);
  for (const Owner& o : owners) {
    if (o.unwritten) continue;  // reads as zeros without asking the device
    const bool is_directory = o.inode && directories.find(o.inode) < directories.directories.size();
    const bool is_data = o.use == Owner::Use::data && !is_directory;
    for (BlockNo first = o.first, end = o.first + o.count; first < end;) {
      const auto next = known.lower_bound(first);
      const BlockNo stop = next == known.end() ? end : std::min(end, *next);
      if (stop > first) {
        Finding& f = findings.emplace_back();
        f.problem = is_data ? Problem::data_unreadable : Problem::read_error;
        f.group = o.inode ? fs.geometry.group_of(o.inode) : o.group;
        if (o.inode) f.inode = o.inode;
        f.block = first;
        f.block_count = stop - first;
        if (o.use == Owner::Use::data) f.logical = o.logical + (first - o.first);
        f.evidence = what_is_lost(fs, o, is_directory, first, stop - first);
      }
      first = stop < end ? stop + 1 : end;
    }
  }
}

}  // namespace extscrub
