// A fault for every field that means something with some feature only: in the superblock, in nodes of large indexes, in inline
// data.
#include <fmt/format.h>

#include <filesystem>
#include <fstream>

#include "tests/support/catch.h"
#include "tests/tables/images.h"

namespace extscrub::test {

namespace {

using enum Problem;

// A table of one row for each field: only those that the feature uses.
void check_superblock_fields(const std::vector<std::string>& options, const std::vector<FieldRow>& rows) {
  static TestImage image = small_ext4().copy();
  image = TestImage(with_small_options(options), "4M");
  for (const FieldRow& row : rows) {
    static unsigned at;
    at = row.at;
    const FieldTable table = {"superblock with a feature",
                              row.width,
                              []() -> const TestImage& { return image; },
                              [](const TestImage&) { return Spot{kSuperblockOffset + at}; },
                              seal_superblock,
                              {superblock_primary_bad, Problem::superblock_checksum, superblock_features},
                              {"/lost+found"}};  // the orphan file may get a name there
    FieldRow moved = row;
    moved.at = 0;
    check_fields(table, {moved});
  }
}

}  // namespace

TEST_CASE("a fault for every field of the superblock that a feature uses", "[fields]") {
  SECTION("mmp") {
    check_superblock_fields({"-t", "ext4", "-O", "mmp"},
                            {{"s_mmp_block", 0x168, 8, {0, 1, ~0ull}, safe(Problem::mmp_block)},
                             {"s_mmp_interval", 0x166, 2, {0, 1, 0xFFFF}, unseen("any interval may be asked for")}});
  }
  SECTION("quota") {
    check_superblock_fields({"-t", "ext4", "-O", "quota"},
                            {{"s_usr_quota_inum", 0x240, 4, {1, 2, ~0u}, lossy(Problem::quota_inode)},
                             {"s_usr_quota_inum", 0x240, 4, {30}, lossy(quota_inode_visible)},
                             {"s_grp_quota_inum", 0x244, 4, {1, 2, ~0u}, lossy(Problem::quota_inode)},
                             {"s_grp_quota_inum", 0x244, 4, {30}, lossy(quota_inode_visible)}});
  }
  SECTION("orphan_file") {
    check_superblock_fields({"-t", "ext4", "-O", "orphan_file"},
                            {{"s_orphan_file_inum", 0x280, 4, {0, 1, 2, 30, ~0u}, safe_guess(Problem::orphan_file)}});
  }
  SECTION("casefold") {
    check_superblock_fields({"-t", "ext4", "-O", "casefold"},
                            {{"s_encoding", 0x27C, 2, {0, 2, 0xFFFF}, safe(superblock_field)},
                             {"s_encoding_flags", 0x27E, 2, {1}, unseen("whether names must be well-formed")}});
  }
  SECTION("metadata_csum_seed") {
    check_superblock_fields({"-t", "ext4", "-O", "metadata_csum_seed"},
                            {{"s_checksum_seed", 0x270, 4, {0, flip(1)}, lossy(superblock_primary_bad)},
                             {"s_uuid", 0x68, 16, {flip(1)}, unseen("any UUID will do, as it is no seed any more")}});
  }
  SECTION("sparse_super2") {
    check_superblock_fields({"-t", "ext4", "-O", "sparse_super2,^resize_inode"},
                            {{"s_backup_bgs", 0x24C, 8, {0xFFFFFFFF00000001, 0x0000000300000100}, safe(superblock_field)}});
  }
}

TEST_CASE("a fault for every field of a node of an index", "[fields]") {
  // 400 names of 250 bytes, three a block: more blocks than the root has room for.
  static const TestImage image = [] {
    const TempDir tree;
    std::filesystem::create_directory(tree.path() / "tall");
    std::ofstream(tree.path() / "tall/first") << "x";
    for (int i = 0; i < 400; ++i)
      std::filesystem::create_hard_link(tree.path() / "tall/first", tree.path() / fmt::format("tall/{:x<250}", i));
    TestImage made(with_small_options({"-t", "ext4"}), "4M", tree.path());
    if (run({"e2fsck", "-fyD", made.path()}).status > 1) throw std::runtime_error("cannot make a tall index");
    return made;
  }();
  const auto first_node = [](const TestImage& of) {
    const Spot root = block_spot(of, "/tall", 0);
    return block_spot(of, "/tall", of.peek<uint32_t>(root.at + 36));
  };
  const auto image_of = []() -> const TestImage& { return image; };
  REQUIRE(image.peek<uint8_t>(block_spot(image, "/tall", 0).at + 30) == 1);  // indirect_levels
  const FieldTable table = {"index node", 1024, image_of, first_node, seal_index_node, {htree_checksum}, {"/tall"}};
  const auto used = static_cast<unsigned>(8 + 8 * image.peek<uint16_t>(first_node(image).at + 10));
  std::vector<FieldRow> rows = {{"fake: inode", 0, 4, {1, ~0u}, lossy(entry_inode_invalid)},
                                {"fake: rec_len", 4, 2, {0, 12, 512}, lossy(directory_record)},
                                {"fake: name_len, file_type", 6, 2, {1, 0xFFFF}, safe(htree_depth)},
                                {"limit", 8, 2, {0, 1, add(1), 0xFFFF}, safe(htree_depth)},
                                {"count", 10, 2, {0, 200, 0xFFFF}, safe(htree_node)},
                                {"count", 10, 2, {1}, safe(htree_unreferenced)},
                                {"block of the first", 12, 4, {2000, ~0u}, safe(htree_node)},
                                {"hash", 16, 4, {~0u}, safe(htree_node)},
                                {"block", 20, 4, {2000, ~0u}, safe(htree_node)},
                                {"the other hashes and blocks", 24, used - 24, {fill(0xFF)}, safe(htree_node)},
                                {"dt_reserved", 1016, 4, {1, ~0u}, unseen("nobody reads it, and it is in the checksum")},
                                {"dt_checksum", 1020, 4, {flip(1)}, unseen(kSealedAgain)}};
  if (used < 1016) rows.push_back({"behind those in use", used, 1016 - used, {fill(0xFF)}, unseen_uncovered("nobody reads it")});
  check_fields(table, rows);
}

TEST_CASE("a fault for every field of inline data", "[fields]") {
  static const TestImage image = [] {
    const TempDir tree;
    std::ofstream(tree.path() / "inside") << std::string(100, 'i');
    std::filesystem::create_directory(tree.path() / "inner");
    std::ofstream(tree.path() / "inner/a") << "a";
    return TestImage(with_small_options({"-t", "ext4", "-I", "256", "-O", "inline_data"}), "4M", tree.path());
  }();
  const auto image_of = []() -> const TestImage& { return image; };
  const FieldTable file = {"inode with data inside",
                           36,
                           image_of,
                           [](const TestImage& of) { return Spot{inode_spot(of, "/inside").at + 160, of.inode_of("/inside")}; },
                           seal_spot_inode,
                           {inode_checksum},
                           {"/inside"}};
  check_fields(file, {{"h_magic", 0, 4, {0, 1}, lossy(Problem::inline_data)},
                      {"e_name_len", 4, 1, {0, 3, 0xFF}, lossy(Problem::inline_data)},
                      {"e_name_index", 5, 1, {0, 1, 99}, lossy(Problem::inline_data)},
                      {"e_value_offs", 6, 2, {0}, lossy(ea_overlap)},
                      {"e_value_offs", 6, 2, {90, 0xFFFF}, lossy(ea_value)},
                      {"e_value_inum", 8, 4, {1, ~0u}, lossy(ea_value_inode)},
                      {"e_value_size", 12, 4, {0, 3}, unseen("the rest of the file reads as zeros")},
                      {"e_value_size", 12, 4, {~0u}, lossy(ea_value)},
                      {"e_hash", 16, 4, {flip(1)}, lossy(ea_hash)},
                      {"e_name: data", 20, 4, {0x61746163}, lossy(Problem::inline_data)},
                      {"the end of the entries", 24, 4, {~0u}, lossy(ea_entry)},
                      {"room", 28, 8, {fill(0xFF)}, unseen("nobody reads it")}});
  const FieldTable directory = {
      "directory inside its inode",
      16,
      image_of,
      [](const TestImage& of) { return Spot{of.map_offset(of.inode_of("/inner")), of.inode_of("/inner")}; },
      seal_spot_inode,
      {inode_checksum},
      {"/inner"}};
  check_fields(directory, {{"the parent", 0, 4, {1, 12, ~0u}, safe(directory_dotdot_wrong)},
                           {"the parent", 0, 4, {0}, safe(directory_dotdot_missing)},
                           {"inode", 4, 4, {1}, safe(entry_inode_invalid)},
                           {"inode", 4, 4, {~0u}, lossy(entry_inode_invalid)},
                           {"rec_len", 8, 2, {0, 4, 13, 0xFFFF}, lossy(directory_record)},
                           {"name_len", 10, 1, {0}, lossy(entry_name_empty)},
                           {"name_len", 10, 1, {2}, lossy(entry_name_invalid)},
                           {"file_type", 11, 1, {0}, safe(entry_type_unset)},
                           {"file_type", 11, 1, {2, 0xFF}, safe(entry_type)},
                           {"name", 12, 1, {0, '/'}, lossy(entry_name_invalid)},
                           {"name", 12, 1, {'b'}, unseen("any name will do")},
                           {"behind the name", 13, 3, {0xFF}, unseen("nobody reads it")}});
}

}  // namespace extscrub::test
