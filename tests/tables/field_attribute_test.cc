// A fault for every field of extended attributes: in the inode, in a block, and in an inode of its own; and of inline data.
#include <fmt/format.h>

#include <fstream>

#include "scan/format/checksum.h"
#include "scan/format/crc.h"
#include "tests/support/catch.h"
#include "tests/tables/images.h"

namespace extscrub::test {

namespace {

using enum Problem;

constexpr const char* kNoHash = "in an inode e_hash is zero, so that any name and value will do";

// /two has user.long (300 bytes) and user.more in its block.
Spot attribute_block(const TestImage& image) {
  const Spot inode = inode_spot(image, "/two");
  return {image.offset(image.peek<uint32_t>(inode.at + offsetof(ext2_inode, i_file_acl))), inode.inode};
}

void seal_attribute_block(const SealedSpot& at) {
  const uint32_t size = at.geometry.block_size;
  const uint64_t block = at.spot.at / size;
  std::vector<std::byte> bytes(size);
  at.image.read(block * size, bytes);
  at.image.poke(block * size + offsetof(ext2_ext_attr_header, h_checksum),
                extscrub::ea_block_checksum(at.geometry, BlockNo(block), bytes));
}

// The attributes in the inode begin with a magic number.
Spot attributes_in(const TestImage& image, const char* path) {
  const Spot inode = inode_spot(image, path);
  return {inode.at + 128 + image.peek<uint16_t>(inode.at + 128), inode.inode};
}

// /three has an attribute of 5000 bytes in an inode of its own.
const TestImage& image_with_value_inode() {
  static const TestImage image = [] {
    const TempDir directory;
    std::ofstream(directory.path() / "value") << std::string(5000, 'V');
    return make_small_image(with_small_options({"-t", "ext4", "-O", "ea_inode"}),
                            {fmt::format("ea_set -f {} /three user.large", (directory.path() / "value").native())});
  }();
  return image;
}

Spot value_inode(const TestImage& image) {
  for (uint32_t inode = EXT2_GOOD_OLD_FIRST_INO; inode <= image.superblock().s_inodes_count; ++inode) {
    const auto raw = image.peek<ext2_inode>(image.inode_offset(inode));
    if (raw.i_links_count != 0 && raw.i_flags & EXT4_EA_INODE_FL) return {image.inode_offset(inode), inode};
  }
  throw std::runtime_error("no attribute has an inode of its own");
}

}  // namespace

TEST_CASE("a fault for every field of an attribute block", "[fields]") {
  const FieldTable table = {
      "attribute block", 1024, small_ext4, attribute_block, seal_attribute_block, {Problem::ea_block_checksum}, {"/two"}};
  check_fields(table, {{"h_magic", 0, 4, {0, 0xEA020001}, lossy(ea_block_header)},
                       {"h_refcount", 4, 4, {0, 2, ~0u}, safe(ea_block_refcount)},
                       {"h_blocks", 8, 4, {0, 2, ~0u}, lossy(ea_block_header)},
                       {"h_hash", 12, 4, {~0u, flip(1)}, safe(ea_block_hash)},
                       {"h_checksum", 16, 4, {flip(1)}, unseen(kSealedAgain)},
                       {"h_reserved", 20, 12, {fill(0xFF)}, unseen("nobody reads it")},
                       {"e_name_len", 32, 1, {0, 3, 0xFF}, lossy(ea_hash)},
                       {"e_name_index", 33, 1, {0}, lossy(ea_entry)},
                       {"e_name_index", 33, 1, {99}, safe_guess(ea_order)},
                       {"e_value_offs", 34, 2, {0, 32}, lossy(ea_overlap)},
                       {"e_value_offs", 34, 2, {1022, 0xFFFF}, lossy(ea_value)},
                       {"e_value_inum", 36, 4, {1, 12, ~0u}, lossy(ea_value_inode)},
                       {"e_value_size", 40, 4, {0, 3}, lossy(ea_hash)},
                       {"e_value_size", 40, 4, {~0u}, lossy(ea_value)},
                       {"e_hash", 44, 4, {0, flip(1)}, lossy(ea_hash)},
                       {"e_name", 48, 4, {0x78787878}, safe_guess(ea_hash)},  // to sort them is safe, and the block's checksum
                                                                              // speaks for the name
                       {"e_name", 48, 4, {flip(1)}, lossy(ea_hash)},
                       {"the other entry", 52, 20, {fill(0xFF)}, lossy(ea_value_inode)},
                       {"the end of the entries", 72, 4, {~0u}, lossy(ea_value)},
                       {"room", 76, 448, {fill(0xFF)}, unseen("nobody reads it")},
                       {"the values", 524, 500, {fill('w')}, lossy(ea_hash)}});
}

TEST_CASE("a fault for every field of the attributes in an inode", "[fields]") {
  const FieldTable table = {"attributes in an inode",
                            96,
                            small_ext4,
                            [](const TestImage& image) { return attributes_in(image, "/plain"); },
                            seal_spot_inode,
                            {inode_checksum},
                            {"/plain"}};
  check_fields(table, {{"h_magic", 0, 4, {0, 0xEA020001}, unseen("without it there are no attributes")},
                       {"e_name_len", 4, 1, {0, 3, 0xFF}, lossy(ea_entry)},
                       {"e_name_index", 5, 1, {0, 99}, unseen("a kind of attributes that nobody knows")},
                       {"e_value_offs", 6, 2, {0}, lossy(ea_overlap)},
                       {"e_value_offs", 6, 2, {90, 0xFFFF}, lossy(ea_value)},
                       {"e_value_inum", 8, 4, {1, 12, ~0u}, lossy(ea_value_inode)},
                       {"e_value_size", 12, 4, {0, 3}, unseen(kNoHash)},
                       {"e_value_size", 12, 4, {~0u}, lossy(ea_value)},
                       {"e_hash", 16, 4, {1, flip(1)}, lossy(ea_hash)},
                       {"e_name", 20, 5, {0x7878787878}, unseen(kNoHash)},
                       {"e_name: a NUL", 20, 5, {0x78007878}, lossy(ea_entry)},
                       {"padding", 25, 3, {fill(0xFF)}, unseen("nobody reads it")},
                       {"behind the entries", 28, 4, {fill(0xFF)}, lossy(ea_entry)},
                       {"room", 32, 56, {fill(0xFF)}, unseen("nobody reads it")},
                       {"the value", 88, 8, {fill('w')}, unseen(kNoHash)}});
}

TEST_CASE("a fault for every field of the inode of an attribute's value", "[fields]") {
  const FieldTable table = {"inode of a value", 40,        image_with_value_inode, value_inode, seal_spot_inode,
                            {inode_checksum},   {"/three"}};
  check_fields(table,
               {{"i_mode", 0x00, 2, {0, 0x41A4, 0xA1A4, 0x71A4}, lossy(ea_inode_invalid)},
                {"i_uid", 0x02, 2, {1}, unseen("anybody may own it")},
                {"i_size_lo", 0x04, 4, {0, 1023, 2000, ~0u}, lossy(ea_inode_invalid)},
                {"i_atime: the hash of the value", 0x08, 4, {0, flip(1)}, lossy(ea_hash)},
                {"i_ctime: the references, high", 0x0C, 4, {1, ~0u}, safe(ea_inode_refcount)},
                {"i_mtime: the inode it belonged to", 0x10, 4, {0, 12}, unseen("only the first kind of such inodes needed it")},
                {"i_dtime", 0x14, 4, {1700000000}, safe(inode_dtime_set)},
                {"i_gid", 0x18, 2, {1}, unseen("anybody may own it")},
                {"i_links_count", 0x1A, 2, {0}, lossy(ea_inode_invalid)},
                {"i_links_count", 0x1A, 2, {2, 0xFFFF}, safe(inode_links)},
                {"i_blocks_lo", 0x1C, 4, {0, add(2)}, safe(inode_blocks)},
                {"i_flags: EA_INODE_FL", 0x20, 4, {flip(0x200000)}, lossy(Problem::ea_value_inode)},
                {"i_version: the references, low", 0x24, 4, {0, 2, ~0u}, safe(ea_inode_refcount)}});
}

}  // namespace extscrub::test
