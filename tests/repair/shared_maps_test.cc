// Inodes that share one tree of blocks: what is kept of each has a bound, or a small image could ask for any amount of
// memory.
#include <algorithm>

#include "scan/inodes/directory_table.h"
#include "scan/load/load_file_system.h"
#include "tests/support/audit_image.h"
#include "tests/support/catch.h"

namespace extscrub::test {

namespace {

constexpr uint64_t kLeaves = 20001, kLeafCount = 4, kPerLeaf = 84;  // free blocks; all the entries that fit
constexpr uint64_t kData = 21001;

// Makes the inode's map a tree of four full leaves, in which entry i is what `entry(i)` gives.
void plant_tree(const TestImage& image, uint32_t inode, const std::function<ext3_extent(uint32_t)>& entry) {
  std::vector<std::byte> root(60);
  store(MutableBytes(root), 0, ext3_extent_header{EXT3_EXT_MAGIC, kLeafCount, 4, 1, 0});
  for (uint32_t leaf = 0; leaf < kLeafCount; ++leaf) {
    std::vector<std::byte> block(image.block_size());
    store(MutableBytes(block), 0, ext3_extent_header{EXT3_EXT_MAGIC, kPerLeaf, kPerLeaf, 0, 0});
    for (uint32_t i = 0; i < kPerLeaf; ++i)
      store(MutableBytes(block), sizeof(ext3_extent_header) + i * sizeof(ext3_extent), entry(leaf * kPerLeaf + i));
    image.write(image.offset(kLeaves + leaf), block);
    ext3_extent_idx index{};
    index.ei_block = entry(leaf * kPerLeaf).ee_block;
    index.ei_leaf = static_cast<uint32_t>(kLeaves + leaf);
    store(MutableBytes(root), sizeof(ext3_extent_header) + leaf * sizeof index, index);
  }
  image.write(image.map_offset(inode), root);
}

// Every other block, so that no two make one run.
ext3_extent apart(uint32_t i) { return {2 * i, 1, 0, static_cast<uint32_t>(kData + 2 * i)}; }

auto count(const Audit& audit, Problem problem, uint32_t inode) {
  return std::ranges::count_if(audit.findings,
                               [&](const Finding& f) { return f.problem == problem && f.inode == InodeNo(inode); });
}

}  // namespace

TEST_CASE("map of nothing but defects", "[maps]") {
  const TestImage image("ext4-plain");
  const uint32_t inode = image.inode_of("/three");
  plant_tree(image, inode, [](uint32_t i) { return ext3_extent{i, 0, 0, static_cast<uint32_t>(kData)}; });
  const Audit audit = audit_of(image);
  CHECK(audit.verdict == Verdict::damaged);
  CHECK(count(audit, Problem::extent_length_zero, inode) == kMostMapDefects);
}

TEST_CASE("bad checksums do not crowd out other defects of a map", "[maps]") {
  const TestImage image("ext4-1k");
  const uint32_t inode = image.inode_of("/three");
  plant_tree(image, inode, [](uint32_t i) { return ext3_extent{i, 0, 0, static_cast<uint32_t>(kData)}; });
  const Audit audit = audit_of(image);
  CHECK(count(audit, Problem::extent_length_zero, inode) == kMostMapDefects);
  CHECK(count(audit, Problem::extent_checksum, inode) == kLeafCount);
}

TEST_CASE("directory of nothing but holes", "[maps][directories]") {
  const TestImage image("ext4-plain");
  const uint32_t inode = image.inode_of("/many");
  plant_tree(image, inode, apart);
  const Audit audit = audit_of(image);
  CHECK(audit.verdict == Verdict::damaged);
  CHECK(count(audit, Problem::directory_hole, inode) == kMostHoles);
}

TEST_CASE("files that share all their blocks", "[maps]") {
  const TestImage image("ext4-plain");
  const uint32_t first = image.inode_of("/three"), second = image.inode_of("/big");
  plant_tree(image, first, apart);
  plant_tree(image, second, apart);
  const Audit audit = audit_of(image);
  CHECK(audit.verdict == Verdict::damaged);
  for (const uint32_t inode : {first, second}) CHECK(count(audit, Problem::block_multiply_claimed, inode) == 100);
}

TEST_CASE("directories that share all their blocks", "[maps][directories]") {
  const TestImage image("ext4-plain");
  const Result<Image> opened = Image::open(image.path());
  REQUIRE(opened);
  auto fs = load_superblock(*opened, nullptr, {});
  REQUIRE(fs);
  const Geometry& g = fs->geometry;
  const Overlay overlay(*opened, g.block_size);
  fs->blocks = &overlay;
  load_descriptors(*fs);
  const uint64_t most = 2 * g.blocks + 1024;
  const BlockMap whole;
  std::vector<std::byte> raw(g.inode_size);
  store(MutableBytes(raw), offsetof(ext2_inode, i_mode), uint16_t{040755});
  store(MutableBytes(raw), offsetof(ext2_inode, i_links_count), uint16_t{2});

  // The same inodes by one collector, and by two that take turns.
  DirectoryTable tables[2];
  for (const size_t collectors : {size_t{1}, size_t{2}}) {
    std::vector<DirectoryCollector> parts(collectors, DirectoryCollector(*fs));
    LinkTable links(g.groups, g.inodes_per_group);
    for (uint32_t i = 0; i < 40; ++i) {
      DirectoryCollector& part = parts[i % collectors];
      const InodeNo ino(100 + i);
      REQUIRE(part.add_inode(Inode(g, ino, raw), g.group_of(ino), links));
      for (uint32_t block = 0; block < 10000; ++block) part.add_run(ino, {2 * block, BlockNo(1000 + 2 * block), 1, false});
      part.end_directory(&whole);
      REQUIRE(part.runs.size() <= 2 * most + 1);
    }
    DirectoryTable& table = tables[collectors - 1];
    for (DirectoryCollector& part : parts) table.take(part);
    table.finish(g);
    CHECK(table.blocks <= most);
    CHECK(std::ranges::all_of(table.directories, [](const Directory& d) { return d.is(Directory::incomplete); }));
  }
  const auto run = [](const DirectoryRun& r) { return std::tuple(r.physical + 0, r.logical, r.directory); };
  CHECK(std::ranges::equal(tables[0].runs, tables[1].runs, {}, run, run));
}

}  // namespace extscrub::test
