#include "scan/inodes/owned_block.h"

#include <algorithm>

#include "scan/format/checksum.h"
#include "scan/format/dir_block.h"
#include "scan/format/htree.h"

namespace extscrub {

namespace {

bool is_leaf(const FileSystem& fs, uint32_t seed, Bytes bytes) {
  if (fs.geometry.metadata_csum()) return leaf_tail(bytes) == leaf_checksum(seed, bytes);
  EntryWalk walk(bytes, fs.geometry.block_size);
  bool any = false;
  while (walk.next()) any = true;
  return any && !walk.broken();
}

// A first block says whose it is.
bool names_another(const Inode& inode, uint64_t logical, Bytes bytes) {
  if (logical != 0) return false;
  const auto dot = EntryWalk(bytes, static_cast<uint32_t>(bytes.size())).next();
  return !dot || dot->name != "." || dot->inode != inode.number();
}

// A root has the entries of an empty leaf, but no tail of one.
bool is_directory_block(const FileSystem& fs, const Inode& inode, uint64_t logical, Bytes bytes) {
  const Geometry& g = fs.geometry;
  if (!g.metadata_csum() && names_another(inode, logical, bytes)) return false;
  const uint32_t seed = inode_seed(g, inode.number(), inode.base().i_generation);
  if (is_leaf(fs, seed, bytes)) return true;
  if (!inode.is(EXT2_INDEX_FL) || (logical != 0 && !looks_like_node(g, bytes))) return false;
  const bool siphash = inode.is(EXT4_ENCRYPT_FL) && inode.is(EXT4_CASEFOLD_FL);
  const auto blocks = static_cast<uint32_t>(inode.size() / g.block_size);
  const HtreeNode node = parse_htree_node(g, bytes, static_cast<uint32_t>(logical), blocks, seed, siphash);
  return node.defects.empty();
}

bool has_form_of_extents(Bytes bytes) {
  const auto header = load<ext3_extent_header>(bytes);
  const size_t most = (bytes.size() - sizeof header) / sizeof(ext3_extent);
  return header.eh_magic == EXT3_EXT_MAGIC && header.eh_max <= most && header.eh_entries <= header.eh_max && header.eh_depth <= 4;
}

bool has_extent_tail(Bytes bytes) {
  return has_form_of_extents(bytes) && extent_tail_offset(bytes) + sizeof(uint32_t) <= bytes.size();
}

bool is_extent_node(const FileSystem& fs, const Inode& inode, Bytes bytes) {
  if (!fs.geometry.metadata_csum()) return has_form_of_extents(bytes);
  return has_extent_tail(bytes) && extent_block_seed(bytes) == inode_seed(fs.geometry, inode.number(), inode.base().i_generation);
}

bool is_indirect_node(const FileSystem& fs, Bytes bytes) {
  for (size_t at = 0; at < bytes.size(); at += sizeof(uint32_t))
    if (const BlockNo block(load<uint32_t>(bytes, at)); block && !fs.geometry.contains(block)) return false;
  return true;
}

bool has_form_of_attributes(Bytes bytes) {
  const auto header = load<ext2_ext_attr_header>(bytes);
  return header.h_magic == EXT2_EXT_ATTR_MAGIC && header.h_blocks == 1 && header.h_refcount > 0;
}

bool is_attribute_block(const FileSystem& fs, BlockNo block, Bytes bytes) {
  const auto header = load<ext2_ext_attr_header>(bytes);
  if (!has_form_of_attributes(bytes)) return false;
  return !fs.geometry.metadata_csum() || ea_block_checksum(fs.geometry, block, bytes) == header.h_checksum;
}

// i_size counts the target's bytes; the rest of the block is zero. Of an encrypted one, the form is another.
bool is_target(const Inode& inode, Bytes bytes) {
  if (inode.is(EXT4_ENCRYPT_FL)) return true;
  if (inode.size() == 0 || inode.size() >= bytes.size()) return false;
  const auto end = std::ranges::find(bytes, std::byte{0});
  return static_cast<uint64_t>(end - bytes.begin()) == inode.size();
}

}  // namespace

bool fits_owner(const FileSystem& fs, const Owner& owner, const Inode& inode, Bytes bytes) {
  switch (owner.use) {
    case Owner::Use::data:
      if (inode.type() == FileType::directory) return is_directory_block(fs, inode, owner.logical, bytes);
      if (inode.type() == FileType::symlink) return is_target(inode, bytes);
      return false;
    case Owner::Use::map_node: return inode.uses_extents() ? is_extent_node(fs, inode, bytes) : is_indirect_node(fs, bytes);
    case Owner::Use::ea_block: return is_attribute_block(fs, owner.first, bytes);
    case Owner::Use::metadata: return false;
  }
  return false;
}

SealedFor sealed_for(const Geometry& g, Bytes bytes) {
  if (has_form_of_attributes(bytes)) return {{}, sealed_ea_block(g, bytes)};
  if (has_extent_tail(bytes)) return {extent_block_seed(bytes), {}};
  if (const auto checksum = leaf_tail(bytes)) return {leaf_seed(*checksum, bytes), {}};
  return {htree_node_seed(g, bytes), {}};
}

}  // namespace extscrub
