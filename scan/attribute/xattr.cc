#include "scan/attribute/xattr.h"

namespace extscrub {

namespace {

// Entries lie one behind the other, each padded to 4 bytes, and end with four zero bytes; the offsets of their values
// count from `values_from`.
std::vector<EaEntry> entries_from(Bytes region, size_t at, size_t values_from) {
  std::vector<EaEntry> out;
  while (at + sizeof(ext2_ext_attr_entry) <= region.size() && load<uint32_t>(region, at) != 0) {
    const auto e = load<ext2_ext_attr_entry>(region, at);
    const size_t name_at = at + sizeof e;
    if (name_at + e.e_name_len > region.size()) break;
    const size_t value_at = values_from + e.e_value_offs;
    const bool fits = e.e_value_inum == 0 && value_at <= region.size() && e.e_value_size <= region.size() - value_at;
    const Bytes value = fits ? region.subspan(value_at, e.e_value_size) : Bytes();
    out.push_back(
        {e.e_name_index, region.subspan(name_at, e.e_name_len), value, InodeNo(e.e_value_inum), e.e_value_size, e.e_hash});
    at += EXT2_EXT_ATTR_LEN(e.e_name_len);
  }
  return out;
}

}  // namespace

std::vector<EaEntry> inode_ea_entries(const Geometry& g, const Inode& inode) {
  if (g.inode_size <= EXT2_GOOD_OLD_INODE_SIZE) return {};
  const size_t at = EXT2_GOOD_OLD_INODE_SIZE + size_t{inode.large().i_extra_isize};
  if (at + sizeof(uint32_t) > g.inode_size || load<uint32_t>(inode.raw(), at) != EXT2_EXT_ATTR_MAGIC) return {};
  return entries_from(inode.raw(), at + sizeof(uint32_t), at + sizeof(uint32_t));
}

std::vector<EaEntry> block_ea_entries(Bytes block) {
  if (load<uint32_t>(block) != EXT2_EXT_ATTR_MAGIC) return {};
  return entries_from(block, sizeof(ext2_ext_attr_header), 0);
}

}  // namespace extscrub
