#include "scan/attribute/ea_value.h"

#include <algorithm>

namespace extscrub {

namespace {

// The value of the first attribute of that name; nothing when there is none, or it lies elsewhere or does not fit.
std::optional<Bytes> find_value(const std::vector<EaEntry>& entries, uint8_t index, std::string_view name) {
  const auto it = std::ranges::find_if(entries, [&](const EaEntry& e) {
    return e.name_index == index && std::ranges::equal(e.name, std::as_bytes(std::span(name)));
  });
  if (it == entries.end() || it->value.data() == nullptr) return std::nullopt;
  return it->value;
}

}  // namespace

std::optional<Bytes> inode_ea_value(const Geometry& g, const Inode& inode, uint8_t index, std::string_view name) {
  return find_value(inode_ea_entries(g, inode), index, name);
}

std::vector<std::byte> ea_value(const FileSystem& fs, const Inode& inode, uint8_t index, std::string_view name) {
  const Geometry& g = fs.geometry;
  if (const auto value = inode_ea_value(g, inode, index, name)) return {value->begin(), value->end()};
  const BlockNo block = inode.ea_block();
  if (!block || !g.contains(block)) return {};
  std::vector<std::byte> bytes(g.block_size);
  if (!fs.blocks->read(block, bytes)) return {};
  const auto value = find_value(block_ea_entries(bytes), index, name);
  return value ? std::vector<std::byte>(value->begin(), value->end()) : std::vector<std::byte>();
}

}  // namespace extscrub
