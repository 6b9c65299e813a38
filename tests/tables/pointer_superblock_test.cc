// Pointers of the superblock and the descriptors, and of the maps of the file system's own inodes, that name anything but what
// they are to.

#include "tests/support/catch.h"
#include "tests/tables/pointer_table.h"

namespace extscrub::test {

TEST_CASE("map of the journal, the resize inode, a quota file or the orphan file at anything", "[pointers][leaks][repair]") {
  judge_table(&own_map_pointers, block_targets);
}

TEST_CASE("bitmap or inode table of a descriptor at anything", "[pointers][leaks][repair]") {
  judge_table(&descriptor_pointers, block_targets);
}

TEST_CASE("block number of the superblock at anything", "[pointers][repair]") {
  judge_table(&superblock_block_pointers, block_targets);
}

TEST_CASE("inode number of the superblock at any inode", "[pointers][repair]") {
  judge_table(&superblock_inode_pointers, inode_targets);
}

TEST_CASE("group with a backup at any group", "[pointers][repair]") { judge_table(&group_pointers, group_targets); }

}  // namespace extscrub::test
