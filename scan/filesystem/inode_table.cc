#include "scan/filesystem/inode_table.h"

#include <fmt/format.h>

namespace extscrub {

namespace {

Result<InodePlace> find_inode(const FileSystem& fs, InodeNo ino) {
  const Geometry& g = fs.geometry;
  if (!g.valid_inode(ino)) return std::unexpected(Error{fmt::format("there is no inode {}", ino)});
  const GroupNo group = g.group_of(ino);
  if (!valid_location(g, group, fs.groups[group.value].inode_table, g.itable_blocks))
    return std::unexpected(Error{fmt::format("the inode table of group {} is not where it can be", group)});
  return place_of(fs, ino);
}

}  // namespace

InodePlace place_of(const FileSystem& fs, InodeNo ino) {
  const Geometry& g = fs.geometry;
  const GroupNo group = g.group_of(ino);
  const uint64_t at = uint64_t{ino - g.group_first_inode(group)} * g.inode_size;
  return {fs.groups[group.value].inode_table + at / g.block_size, static_cast<uint32_t>(at % g.block_size)};
}

Result<void> read_inode(const FileSystem& fs, InodeNo ino, MutableBytes raw) {
  const auto place = find_inode(fs, ino);
  if (!place) return std::unexpected(place.error());
  std::vector<std::byte> block(fs.geometry.block_size);
  if (auto r = fs.blocks->read(place->block, block); !r) return r;
  std::memcpy(raw.data(), block.data() + place->offset, fs.geometry.inode_size);
  return {};
}

Result<MutableBytes> edit_inode(const FileSystem& fs, Overlay& overlay, InodeNo ino) {
  const auto place = find_inode(fs, ino);
  if (!place) return std::unexpected(place.error());
  auto block = overlay.edit(place->block);
  if (!block) return std::unexpected(block.error());
  return block->subspan(place->offset, fs.geometry.inode_size);
}

}  // namespace extscrub
