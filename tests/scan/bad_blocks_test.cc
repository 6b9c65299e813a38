// Which blocks of a list of bad blocks are believed.
#include <fmt/format.h>

#include <algorithm>

#include "scan/load/load_file_system.h"
#include "tests/support/audit_image.h"
#include "tests/support/catch.h"

namespace extscrub::test {

TEST_CASE("list of bad blocks with parts of inode tables, of which one is given up", "[audit]") {
  const TestImage image("ext4-plain");
  const uint32_t inode = image.inode_of("/dir/file20"), per_block = image.block_size() / image.superblock().s_inode_size;
  const uint32_t first = (inode - 1) / per_block * per_block + 1;
  for (uint32_t i = first; i < first + per_block; ++i) {
    image.debugfs(fmt::format("seti <{}>", i));
    image.debugfs(fmt::format("clri <{}>", i));
  }
  const auto given_up = static_cast<uint32_t>(image.inode_offset(inode) / image.block_size());
  const uint32_t root = image.descriptor(0).bg_inode_table, next = given_up + 1, other_group = image.descriptor(1).bg_inode_table;
  const auto data = static_cast<uint32_t>(image.block_of("/big"));
  const uint32_t listed[] = {next, given_up, other_group, data, given_up, root};
  for (size_t i = 0; i < std::size(listed); ++i) image.poke(image.map_offset(EXT2_BAD_INO) + i * sizeof(uint32_t), listed[i]);

  const Result<Image> opened = Image::open(image.path());
  REQUIRE(opened);
  const Overlay blocks(*opened, image.block_size());
  auto fs = load_superblock(*opened, nullptr, {});
  REQUIRE(fs);
  fs->blocks = &blocks;
  load_descriptors(*fs);
  std::vector<BlockNo> good{BlockNo(root), BlockNo(next), BlockNo(other_group)}, bad{BlockNo(given_up), BlockNo(data)};
  std::ranges::sort(good);
  std::ranges::sort(bad);
  CHECK(fs->bad_metadata == good);
  CHECK(fs->bad_blocks == bad);
  CHECK(fs->bad_again == std::vector{BlockNo(given_up)});
}

}  // namespace extscrub::test
