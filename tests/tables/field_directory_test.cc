// A fault for every field of directory blocks: entries, their tails, and the root, nodes and tails of an index.

#include "scan/format/checksum.h"
#include "scan/format/dir_block.h"
#include "tests/support/catch.h"
#include "tests/tables/images.h"

namespace extscrub::test {

namespace {

using enum Problem;

void seal_directory_leaf(const SealedSpot& at) {
  const uint32_t size = at.geometry.block_size;
  std::vector<std::byte> block(size);
  const uint64_t begin = at.spot.at / size * size;
  at.image.read(begin, block);
  at.image.poke(begin + size - 4, leaf_checksum(seed_of_owner(at), block));
}

// Where entry `name` lies, in the directory's block.
Spot entry_spot(const TestImage& image, const std::string& directory, std::string_view name) {
  const Spot block = block_spot(image, directory, 0);
  std::vector<std::byte> bytes(image.block_size());
  image.read(block.at, bytes);
  EntryWalk walk(bytes, image.block_size());
  while (const auto entry = walk.next())
    if (entry->name == name) return {block.at + entry->offset, block.inode};
  throw std::runtime_error("no such entry");
}

}  // namespace

TEST_CASE("a fault for every field of a directory entry", "[fields]") {
  const FieldTable entry = {"directory entry",
                            12,
                            small_ext4,
                            [](const TestImage& image) { return entry_spot(image, "/dir", "bb"); },
                            seal_directory_leaf,
                            {directory_checksum},
                            {"/dir"}};
  check_fields(entry, {{"inode", 0, 4, {0}, safe_guess(inode_unattached)},
                       {"inode", 0, 4, {1, 3, 161}, safe(entry_inode_invalid)},
                       {"inode", 0, 4, {~0u}, lossy(entry_inode_invalid)},
                       {"inode", 0, 4, {2}, safe(entry_to_root)},
                       {"inode", 0, 4, {12}, safe(entry_to_itself)},
                       {"inode", 0, 4, {100}, safe(entry_inode_uninit)},
                       {"rec_len", 4, 2, {0, 4, 8, 13, 1024, 0xFFFF}, lossy(directory_record)},
                       {"name_len", 6, 1, {0}, lossy(entry_name_empty)},
                       {"name_len", 6, 1, {1}, unseen("any name will do")},
                       {"name_len", 6, 1, {3, 4}, lossy(entry_name_invalid)},
                       {"name_len", 6, 1, {5, 0xFF}, lossy(directory_record)},
                       {"file_type", 7, 1, {0}, safe(entry_type_unset)},
                       {"file_type", 7, 1, {2, 7, 8, 0xFF}, safe(entry_type)},
                       {"name", 8, 2, {0, '/', 0x2F00}, lossy(entry_name_invalid)},
                       {"name", 8, 2, {0x6161, 0xFFFF}, unseen("any name will do")},
                       {"behind the name", 10, 2, {0xFFFF}, unseen("nobody reads it")}});
  const FieldTable dots = {"dot entries",
                           24,
                           small_ext4,
                           [](const TestImage& image) { return block_spot(image, "/dir", 0); },
                           seal_directory_leaf,
                           {directory_checksum},
                           {"/dir"}};
  check_fields(dots, {{".: inode", 0, 4, {0, 2, 14, ~0u}, safe(directory_dot)},
                      {".: rec_len", 4, 2, {0, 4, 13, 2000}, lossy(directory_record)},
                      {".: name_len", 6, 1, {0, 2, 4}, safe(directory_dot)},
                      {".: file_type", 7, 1, {1, 0xFF}, safe(entry_type)},
                      {".: name", 8, 4, {'x'}, safe(directory_dot)},
                      {"..: inode", 12, 4, {1, 12, 14, ~0u}, safe(directory_dotdot_wrong)},
                      {"..: inode", 12, 4, {0}, safe(directory_dotdot_missing)},
                      {"..: rec_len", 16, 2, {0, 4, 13, 2000}, lossy(directory_record)},
                      {"..: name_len", 18, 1, {0, 1, 4}, safe(directory_dotdot_missing)},
                      {"..: file_type", 19, 1, {1, 0xFF}, safe(entry_type)},
                      {"..: name", 20, 4, {'x', 0x782E}, safe(directory_dotdot_missing)}});
}

TEST_CASE("a fault for every field of a directory block's tail", "[fields]") {
  const FieldTable table = {"directory tail",
                            12,
                            small_ext4,
                            [](const TestImage& image) { return Spot{block_spot(image, "/dir", 0).at + 1012, image.inode_of("/dir")}; },
                            nullptr,
                            {},
                            {"/dir"}};
  check_fields(table, {{"det_reserved_zero1", 0, 4, {1, ~0u}, lossy(entry_inode_invalid)},
                       {"det_rec_len", 4, 2, {0, 8, 16, 0xFFFF}, lossy(directory_record)},
                       {"det_reserved_zero2", 6, 1, {1}, safe(directory_tail_missing)},
                       {"det_reserved_zero2", 6, 1, {0xFF}, lossy(directory_record)},
                       {"det_reserved_ft", 7, 1, {0, 1, 0xFF}, safe(directory_tail_missing)},
                       {"det_checksum", 8, 4, {0, flip(1), ~0u}, lossy(directory_checksum)}});
}

TEST_CASE("a fault for every field of an index's root", "[fields]") {
  const FieldTable table = {"index root",    1024,
                            small_ext4,      [](const TestImage& image) { return block_spot(image, "/many", 0); },
                            seal_index_root, {htree_checksum},
                            {"/many"}};
  check_fields(table, {{"dot: inode", 0, 4, {0, 2, ~0u}, safe(directory_dot)},
                       {"dot: rec_len", 4, 2, {0, 16}, lossy(directory_record)},
                       {"dot: rec_len", 4, 2, {1024}, safe(directory_dotdot_missing)},
                       {"dot: name_len, file_type", 6, 2, {0x0201 + 1}, safe(directory_dot)},
                       {"dot: name", 8, 4, {'x'}, safe(directory_dot)},
                       {"dotdot: inode", 12, 4, {1, ~0u}, safe(directory_dotdot_wrong)},
                       {"dotdot: inode", 12, 4, {0}, safe(directory_dotdot_missing)},
                       {"dotdot: rec_len", 16, 2, {12, 500, 1024}, lossy(directory_record)},
                       {"dotdot: name_len, file_type", 18, 2, {0x0201}, safe(directory_dotdot_missing)},
                       {"dotdot: name", 20, 4, {'x'}, safe(directory_dotdot_missing)},
                       {"reserved_zero", 24, 4, {1, ~0u}, safe(htree_root)},
                       {"hash_version", 28, 1, {flip(1)}, safe(htree_range)},
                       {"hash_version", 28, 1, {6, 0xFF}, safe(htree_root)},
                       {"info_length", 29, 1, {0, 7, 0xFF}, safe(htree_root)},
                       {"indirect_levels", 30, 1, {1}, safe(htree_depth)},
                       {"indirect_levels", 30, 1, {2, 0xFF}, safe(htree_root)},
                       {"unused_flags", 31, 1, {1, 0xFF}, safe(htree_root)},
                       {"limit", 32, 2, {0, 1, add(1), 0xFFFF}, safe(htree_node)},
                       {"count", 34, 2, {0, 200, 0xFFFF}, safe(htree_node)},
                       {"count", 34, 2, {1}, safe(htree_unreferenced)},
                       {"block of the first", 36, 4, {100, ~0u}, safe(htree_node)},
                       {"block of the first", 36, 4, {0, 2}, safe(htree_referenced_again)},
                       {"hash", 40, 4, {0, ~0u}, safe(htree_range)},
                       {"block", 44, 4, {100, ~0u}, safe(htree_node)},
                       {"block", 44, 4, {0, 1}, safe(htree_referenced_again)},
                       {"the other hashes and blocks", 48, 8, {~0ull}, safe(htree_node)},
                       {"behind those in use", 56, 960, {fill(0xFF)}, unseen_uncovered("nobody reads it")},
                       {"dt_reserved", 1016, 4, {1, ~0u}, unseen("nobody reads it, and it is in the checksum")},
                       {"dt_checksum", 1020, 4, {flip(1)}, unseen(kSealedAgain)}});
}

}  // namespace extscrub::test
