// Pointers to and in directories, and inode numbers, that name anything but what they are to.

#include "tests/support/catch.h"
#include "tests/tables/pointer_table.h"

namespace extscrub::test {

TEST_CASE("map of a directory at anything", "[pointers][leaks][repair]") { judge_table(&directory_map_pointers, block_targets); }

TEST_CASE("entry, `..`, attribute or orphan with any inode's number", "[pointers][leaks][repair]") {
  judge_table(&inode_pointers, inode_targets);
}

TEST_CASE("index of a directory, or quota tree, at any of its blocks", "[pointers][repair]") {
  judge_table(&logical_pointers, logical_targets);
}

}  // namespace extscrub::test
