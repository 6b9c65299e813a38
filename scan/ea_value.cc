#include "scan/ea_value.h"

#include <algorithm>

namespace extscrub {

namespace {

// `entries_at`: where the entries begin in `region`; offsets of values count from `values_from`.
std::optional<Bytes> find_value(Bytes region, size_t entries_at, size_t values_from, uint8_t index, std::string_view name) {
  size_t at = entries_at;
  while (at + sizeof(ext2_ext_attr_entry) <= region.size() && load<uint32_t>(region, at) != 0) {
    const auto e = load<ext2_ext_attr_entry>(region, at);
    const size_t name_at = at + sizeof e;
    if (name_at + e.e_name_len > region.size()) break;
    const Bytes entry_name = region.subspan(name_at, e.e_name_len);
    if (e.e_name_index == index && std::ranges::equal(entry_name, std::as_bytes(std::span(name)))) {
      const size_t value_at = values_from + e.e_value_offs;
      if (e.e_value_inum != 0 || value_at > region.size() || e.e_value_size > region.size() - value_at) return std::nullopt;
      return region.subspan(value_at, e.e_value_size);
    }
    at += EXT2_EXT_ATTR_LEN(e.e_name_len);
  }
  return std::nullopt;
}

}  // namespace

std::optional<Bytes> inode_ea_value(const Geometry& g, const Inode& inode, uint8_t index, std::string_view name) {
  if (g.inode_size <= EXT2_GOOD_OLD_INODE_SIZE) return std::nullopt;
  const size_t at = EXT2_GOOD_OLD_INODE_SIZE + size_t{inode.large().i_extra_isize};
  if (at + sizeof(uint32_t) > g.inode_size || load<uint32_t>(inode.raw(), at) != EXT2_EXT_ATTR_MAGIC) return std::nullopt;
  return find_value(inode.raw(), at + sizeof(uint32_t), at + sizeof(uint32_t), index, name);
}

std::vector<std::byte> ea_value(const FileSystem& fs, const Inode& inode, uint8_t index, std::string_view name) {
  const Geometry& g = fs.geometry;
  if (const auto value = inode_ea_value(g, inode, index, name)) return {value->begin(), value->end()};
  const BlockNo block = inode.ea_block();
  if (!block || !g.contains(block)) return {};
  std::vector<std::byte> bytes(g.block_size);
  if (!fs.blocks->read(block, bytes) || load<uint32_t>(bytes) != EXT2_EXT_ATTR_MAGIC) return {};
  const auto value = find_value(bytes, sizeof(ext2_ext_attr_header), 0, index, name);
  return value ? std::vector<std::byte>(value->begin(), value->end()) : std::vector<std::byte>();
}

}  // namespace extscrub
