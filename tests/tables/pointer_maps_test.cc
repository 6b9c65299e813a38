// Pointers of maps that name anything but what they are to: what is found, mended and kept, and that nobody sees another's.

#include "tests/support/catch.h"
#include "tests/tables/pointer_table.h"

namespace extscrub::test {

TEST_CASE("pointer of a file's map at anything", "[pointers][leaks][repair]") { judge_table(&map_pointers, block_targets); }

}  // namespace extscrub::test
