// Blocks that belong to an inode in some place, and those that cannot.
#include "scan/inodes/owned_block.h"

#include <fmt/format.h>

#include <fstream>

#include "scan/filesystem/inode_table.h"
#include "tests/support/catch.h"
#include "tests/support/recovered.h"

namespace extscrub::test {

namespace {

using BlockBytes = std::vector<std::byte>;

// Two directories with trees of two levels, and what the sample images hold.
TestImage with_large_directories() {
  const TempDir tree;
  for (const char* name : {"wide", "other"}) {
    std::filesystem::create_directory(tree.path() / name);
    for (int i = 0; i < 620; ++i) std::ofstream(tree.path() / name / fmt::format("{:0>240}", i));
  }
  TestImage image({"-t", "ext4", "-b", "1024", "-N", "4096"}, "16M", tree.path());
  if (run({"e2fsck", "-fyD", image.path()}).status > 1) throw std::runtime_error("no htrees");
  return image;
}

struct Owned {
  explicit Owned(const TestImage& image) : test(image), behind(image), fs(behind.fs) {}

  [[nodiscard]] bool fits(const std::string& path, Owner::Use use, uint64_t logical, Bytes bytes, uint64_t block = 0) const {
    BlockBytes raw(fs.geometry.inode_size);
    const InodeNo ino(test.inode_of(path));
    REQUIRE(read_inode(fs, ino, raw));
    Owner owner;
    owner.first = BlockNo(block);
    owner.count = 1;
    owner.inode = ino;
    owner.logical = logical;
    owner.use = use;
    return fits_owner(fs, owner, Inode(fs.geometry, ino, raw), bytes);
  }
  [[nodiscard]] bool fits(const std::string& path, uint64_t logical, Bytes bytes) const {
    return fits(path, Owner::Use::data, logical, bytes);
  }
  [[nodiscard]] BlockBytes data(const std::string& path, uint64_t logical = 0) const {
    return behind.block(test.block_of(path, logical));
  }
  [[nodiscard]] bool metadata_csum() const { return fs.geometry.metadata_csum(); }

  [[nodiscard]] uint64_t leaf_of_extents(const std::string& path) const {
    return test.peek<ext3_extent_idx>(test.map_offset(test.inode_of(path)) + sizeof(ext3_extent_header)).ei_leaf;
  }

  const TestImage& test;
  Recovered behind;
  const FileSystem& fs;
};

BlockBytes with_one_bit_changed(BlockBytes block, size_t at) {
  block[at] ^= std::byte{1};
  return block;
}

}  // namespace

TEST_CASE("leaf of a directory fits that directory, by its checksum or its `.` no other, and else by its form", "[owned]") {
  for (const char* set : {"ext4-1k", "ext4-4k", "ext4-plain", "ext3-1k"}) {
    INFO(set);
    const TestImage image(set);
    const Owned o(image);
    const BlockBytes leaf = o.data("/dir");
    CHECK(o.fits("/dir", 0, leaf));
    CHECK_FALSE(o.fits("/many", 0, leaf));
    CHECK(o.fits("/many", 1, leaf) != o.metadata_csum());
    CHECK_FALSE(o.fits("/dir", 0, with_one_bit_changed(leaf, 4)));  // rec_len
    CHECK_FALSE(o.fits("/dir", 0, BlockBytes(leaf.size())));
    CHECK_FALSE(o.fits("/dir", 0, o.data("/three")));
    CHECK_FALSE(o.fits("/dir", Owner::Use::metadata, 0, leaf));
  }
}

TEST_CASE("root, node and leaf of a directory's tree", "[owned]") {
  const TestImage image = with_large_directories();
  const Owned o(image);
  uint64_t node = 0;
  const BlockBytes root = o.data("/wide");
  // Below the root the first entry is behind dx_root_info: 32 bytes of names, 8 of info, then the count with the block.
  node = load<uint32_t>(root, 44);
  REQUIRE(root[30] == std::byte{1});  // indirect_levels
  const BlockBytes inner = o.data("/wide", node), leaf = o.data("/wide", 1);
  CHECK(o.fits("/wide", 0, root));
  CHECK(o.fits("/wide", node, inner));
  CHECK(o.fits("/wide", 1, leaf));
  for (const BlockBytes* block : {&root, &inner, &leaf}) CHECK_FALSE(o.fits("/other", 0, *block));
  CHECK_FALSE(o.fits("/other", node, inner));
  CHECK_FALSE(o.fits("/wide", 0, with_one_bit_changed(root, 44)));
  CHECK_FALSE(o.fits("/wide", node, with_one_bit_changed(inner, 20)));
  CHECK_FALSE(o.fits("/wide", node, root));  // of another place
}

TEST_CASE("leaf of an extent tree", "[owned]") {
  for (const char* set : {"ext4-1k", "ext4-plain"}) {
    INFO(set);
    const TestImage image(set);
    const Owned o(image);
    const BlockBytes leaf = o.behind.block(o.leaf_of_extents("/runs10"));
    const auto fits = [&](const char* path, const BlockBytes& block) { return o.fits(path, Owner::Use::map_node, 0, block); };
    CHECK(fits("/runs10", leaf));
    CHECK(fits("/runs600", leaf) != o.metadata_csum());
    CHECK(fits("/runs10", with_one_bit_changed(leaf, 20)) != o.metadata_csum());
    CHECK_FALSE(fits("/runs10", with_one_bit_changed(leaf, 0)));  // eh_magic
    for (const uint16_t entries : {uint16_t{85}, uint16_t{0xFFFF}}) {
      BlockBytes full = leaf;
      store(MutableBytes(full), offsetof(ext3_extent_header, eh_entries), entries);
      CHECK_FALSE(fits("/runs10", full));
      store(MutableBytes(full), offsetof(ext3_extent_header, eh_max), entries);
      CHECK_FALSE(fits("/runs10", full));
    }
    CHECK_FALSE(fits("/runs10", BlockBytes(leaf.size())));
    CHECK_FALSE(fits("/runs10", o.data("/dir")));
  }
}

TEST_CASE("indirect block, of which only the form is known", "[owned]") {
  const TestImage image("ext3-1k");
  const Owned o(image);
  const uint64_t place = image.peek<uint32_t>(image.map_offset(image.inode_of("/big")) + EXT2_IND_BLOCK * sizeof(uint32_t));
  BlockBytes block = o.behind.block(place);
  CHECK(o.fits("/big", Owner::Use::map_node, 12, block));
  store(MutableBytes(block), 400, uint32_t{0});
  CHECK(o.fits("/big", Owner::Use::map_node, 12, block));
  store(MutableBytes(block), 400, static_cast<uint32_t>(o.fs.geometry.blocks));
  CHECK_FALSE(o.fits("/big", Owner::Use::map_node, 12, block));
}

TEST_CASE("attribute block, whose checksum is of its place", "[owned]") {
  for (const char* set : {"ext4-1k", "ext3-1k"}) {
    INFO(set);
    const TestImage image(set);
    image.debugfs("ea_set /small user.note " + std::string(300, 'n'));
    const Owned o(image);
    const auto place = image.peek<uint32_t>(image.inode_offset(image.inode_of("/small")) + offsetof(ext2_inode, i_file_acl));
    REQUIRE(place != 0);
    const BlockBytes block = o.behind.block(place);
    const auto fits = [&](const BlockBytes& bytes, uint64_t at) { return o.fits("/small", Owner::Use::ea_block, 0, bytes, at); };
    CHECK(fits(block, place));
    CHECK(fits(block, place + 1) != o.metadata_csum());
    CHECK(fits(with_one_bit_changed(block, block.size() - 9), place) != o.metadata_csum());
    CHECK_FALSE(fits(with_one_bit_changed(block, 0), place));  // h_magic
    BlockBytes none = block;
    store(MutableBytes(none), offsetof(ext2_ext_attr_header, h_refcount), uint32_t{0});
    CHECK_FALSE(fits(none, place));
    CHECK_FALSE(fits(BlockBytes(block.size()), place));
  }
}

TEST_CASE("target of a symbolic link, as long as its inode says", "[owned]") {
  const TestImage image("ext4-1k");
  const Owned o(image);
  BlockBytes block = o.data("/longlink");
  CHECK(o.fits("/longlink", 0, block));
  block[200] = std::byte{'m'};
  CHECK_FALSE(o.fits("/longlink", 0, block));
  block[199] = block[200] = std::byte{0};
  CHECK_FALSE(o.fits("/longlink", 0, block));
  CHECK_FALSE(o.fits("/longlink", 0, BlockBytes(block.size())));
}

TEST_CASE("contents of files are nobody's metadata, nor are those of quota files, which are counted anew", "[owned]") {
  const TestImage image("ext4-quota");
  const Owned o(image);
  CHECK_FALSE(o.fits("/three", 0, o.data("/three")));
  CHECK_FALSE(o.fits("<3>", 0, o.data("<3>")));
}

}  // namespace extscrub::test
