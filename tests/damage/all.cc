#include "tests/damage/scenario.h"

namespace extscrub::test {

std::vector<const Scenario*> all_damage() {
  std::vector<const Scenario*> result;
  for (const auto& family : {superblock_damage(), group_damage(), bitmap_damage(), inode_damage(), map_damage(), journal_damage(),
                             attribute_damage(), directory_damage()})
    for (const Scenario& scenario : family) result.push_back(&scenario);
  return result;
}

}  // namespace extscrub::test
