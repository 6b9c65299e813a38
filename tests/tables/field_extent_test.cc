// A fault for every field of the structures that map files: extent headers, indexes, extents and tails, and maps of blocks.

#include "scan/format/checksum.h"
#include "tests/support/catch.h"
#include "tests/tables/images.h"

namespace extscrub::test {

namespace {

using enum Problem;

// /pieces has ten extents: an index in the inode, and one leaf.
Spot map_spot(const TestImage& image, const char* path) {
  const Spot inode = inode_spot(image, path);
  return {image.map_offset(inode.inode), inode.inode};
}
Spot leaf_spot(const TestImage& image) {
  const Spot map = map_spot(image, "/pieces");
  return {image.offset(image.peek<ext3_extent_idx>(map.at + sizeof(ext3_extent_header)).ei_leaf), map.inode};
}
void seal_extent_leaf(const SealedSpot& at) {
  std::vector<std::byte> block(at.geometry.block_size);
  const uint64_t begin = at.spot.at / block.size() * block.size();
  at.image.read(begin, block);
  const auto generation = at.image.peek<uint32_t>(at.image.inode_offset(at.spot.inode) + offsetof(ext2_inode, i_generation));
  const uint32_t seed = inode_seed(at.geometry, InodeNo(at.spot.inode), generation);
  // The tail stays where it was, whatever eh_max has become.
  const auto header = load<ext3_extent_header>(block);
  const size_t tail = block.size() - 4;
  if (sizeof header * (1 + size_t{header.eh_max}) <= tail)
    at.image.poke(begin + extent_tail_offset(block), extent_block_checksum(seed, block));
}

}  // namespace

TEST_CASE("a fault for every field of the extents in an inode", "[fields]") {
  const FieldTable table = {"extents in the inode",
                            24,
                            small_ext4,
                            [](const TestImage& image) { return map_spot(image, "/three"); },
                            seal_spot_inode,
                            {inode_checksum},
                            {"/three"}};
  check_fields(table, {{"eh_magic", 0, 2, {0, 0xF30B}, lossy(extent_header)},
                       {"eh_entries", 2, 2, {0}, safe_guess(inode_blocks)},  // what no map has is a hole
                       {"eh_entries", 2, 2, {5, 0xFFFF}, lossy(extent_header)},
                       {"eh_max", 4, 2, {0, 1, 5, 0xFFFF}, lossy(extent_header)},
                       {"eh_max", 4, 2, {3}, unseen("a little less than there is room for will do")},
                       {"eh_depth", 6, 2, {6, 0xFFFF}, lossy(extent_header)},
                       {"eh_depth", 6, 2, {1, 5}, lossy(extent_out_of_range)},
                       {"eh_generation", 8, 4, {1, ~0u}, unseen("nobody reads it")},
                       {"ee_block", 12, 4, {1, 100}, lossy(inode_size_small)},
                       {"ee_block", 12, 4, {~0u}, lossy(extent_too_far)},
                       {"ee_len", 16, 2, {0}, lossy(extent_length_zero)},
                       {"ee_len", 16, 2, {0x8000}, lossy(extent_out_of_range)},
                       {"ee_len", 16, 2, {flip(0x8000)}, unseen("whether it was written to cannot be told otherwise")},
                       {"ee_start_hi", 18, 2, {1, 0xFFFF}, lossy(extent_out_of_range)},
                       {"ee_start_lo", 20, 4, {0, 4095, ~0u}, lossy(extent_out_of_range)},
                       {"ee_start_lo", 20, 4, {add(1)}, lossy(block_multiply_claimed)}});
}

TEST_CASE("a fault for every field of an extent index in an inode", "[fields]") {
  const FieldTable table = {"index in the inode", 24,
                            small_ext4,           [](const TestImage& image) { return map_spot(image, "/pieces"); },
                            seal_spot_inode,      {inode_checksum},
                            {"/pieces"}};
  check_fields(table, {{"eh_magic", 0, 2, {0, 0xF30B}, lossy(extent_header)},
                       {"eh_entries", 2, 2, {0}, lossy(extent_node_empty)},
                       {"eh_entries", 2, 2, {5, 0xFFFF}, lossy(extent_header)},
                       {"eh_max", 4, 2, {0, 1, 5, 0xFFFF}, lossy(extent_header)},
                       {"eh_max", 4, 2, {3}, unseen("a little less than there is room for will do")},
                       {"eh_depth", 6, 2, {2, 5, 6, 0xFFFF}, lossy(extent_header)},
                       {"eh_depth", 6, 2, {0}, lossy(extent_out_of_range)},
                       {"eh_generation", 8, 4, {1, ~0u}, unseen("nobody reads it")},
                       {"ei_block", 12, 4, {1, 100, ~0u}, lossy(extent_index_mismatch)},
                       {"ei_leaf_lo", 16, 4, {0, 4096, ~0u}, lossy(extent_out_of_range)},
                       {"ei_leaf_lo", 16, 4, {1}, lossy(map_metadata_block)},
                       {"ei_leaf_lo", 16, 4, {add(1)}, lossy(extent_header)},
                       {"ei_leaf_hi", 20, 2, {1, 0xFFFF}, lossy(extent_out_of_range)},
                       {"ei_unused", 22, 2, {1, 0xFFFF}, unseen("nobody reads it")}});
}

TEST_CASE("a fault for every field of a leaf of an extent tree", "[fields]") {
  const FieldTable table = {"leaf of an extent tree", 1024,       small_ext4, leaf_spot, seal_extent_leaf,
                            {extent_checksum},        {"/pieces"}};
  check_fields(table, {{"eh_magic", 0, 2, {0, 0xF30B}, lossy(extent_header)},
                       {"eh_entries", 2, 2, {0}, lossy(extent_node_empty)},
                       {"eh_entries", 2, 2, {85, 0xFFFF}, lossy(extent_header)},
                       {"eh_max", 4, 2, {0, 3, 10, 85, 0xFFFF}, lossy(extent_header)},
                       {"eh_max", 4, 2, {83}, unseen("a little less than there is room for will do")},
                       {"eh_depth", 6, 2, {1, 5, 0xFFFF}, lossy(extent_header)},
                       {"eh_generation", 8, 4, {1, ~0u}, unseen("nobody reads it")},
                       {"ee_block", 24, 4, {0, 100, ~0u}, lossy(extent_order)},
                       {"ee_len", 28, 2, {0}, lossy(extent_length_zero)},
                       {"ee_len", 28, 2, {0x8000}, lossy(extent_out_of_range)},
                       {"ee_len", 28, 2, {5}, lossy(extent_order)},
                       {"ee_len", 28, 2, {flip(0x8000)}, unseen("whether it was written to cannot be told otherwise")},
                       {"ee_start_hi", 30, 2, {1, 0xFFFF}, lossy(extent_out_of_range)},
                       {"ee_start_lo", 32, 4, {0, 4096, ~0u}, lossy(extent_out_of_range)},
                       {"ee_start_lo", 32, 4, {1, 20, add(1)}, lossy(block_multiply_claimed)},
                       {"the other extents", 12, 12, {~0ull}, lossy(extent_index_mismatch)},
                       {"the other extents", 36, 96, {fill(0xFF)}, lossy(extent_out_of_range)},
                       {"behind the extents in use", 132, 888, {fill(0xFF)}, unseen("nobody reads it")},
                       {"et_checksum", 1020, 4, {flip(1)}, unseen(kSealedAgain)}});
}

TEST_CASE("a fault for every part of a map of blocks", "[fields]") {
  // /pieces has a hole behind each of its blocks; its indirect block maps from block 12 on.
  const auto file_map = [](const TestImage& image) { return map_spot(image, "/pieces"); };
  const FieldTable inode = {"map of blocks in the inode", 60, small_ext3, file_map, nullptr, {}, {"/pieces"}};
  check_fields(inode, {{"i_block: direct", 0, 4, {4096, ~0u}, lossy(indirect_out_of_range)},
                       {"i_block: direct", 0, 4, {1, 20}, lossy(block_multiply_claimed)},
                       {"i_block: direct", 0, 4, {0}, safe_guess(inode_blocks)},  // what no map has is a hole
                       {"i_block: the other direct", 4, 44, {fill(0xFF)}, lossy(indirect_out_of_range)},
                       {"i_block: indirect", 48, 4, {4096, ~0u}, lossy(indirect_out_of_range)},
                       {"i_block: indirect", 48, 4, {1}, lossy(map_metadata_block)},
                       {"i_block: indirect", 48, 4, {60}, lossy(block_multiply_claimed)},
                       {"i_block: indirect", 48, 4, {0}, safe_guess(inode_blocks)},  // what no map has is a hole
                       {"i_block: double", 52, 4, {4096, ~0u}, lossy(indirect_out_of_range)},
                       {"i_block: double", 52, 4, {1}, lossy(map_metadata_block)},
                       {"i_block: triple", 56, 4, {4096, ~0u}, lossy(indirect_out_of_range)},
                       {"i_block: triple", 56, 4, {1}, lossy(map_metadata_block)}});
  const auto indirect = [](const TestImage& image) {
    const Spot map = map_spot(image, "/pieces");
    return Spot{image.offset(image.peek<uint32_t>(map.at + 48)), map.inode};
  };
  const FieldTable block = {"indirect block", 1024, small_ext3, indirect, nullptr, {}, {"/pieces"}};
  check_fields(block, {{"entry", 0, 4, {4096, ~0u}, lossy(indirect_out_of_range)},
                       {"entry", 0, 4, {1, 20}, lossy(block_multiply_claimed)},
                       {"the other entries", 4, 1020, {fill(0xFF)}, lossy(indirect_out_of_range)}});
}

}  // namespace extscrub::test
