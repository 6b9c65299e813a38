// Damage, one kind an entry: a sound image, what is done to it, the code that must be reported, and where.
// Constant tables; the functions in them change the image they are given and nothing else.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "audit/catalogue/finding.h"
#include "tests/support/test_image.h"

namespace extscrub::test {

// Where the finding must be. Only what is set is compared; `block` must lie in the finding's range.
struct Place {
  std::optional<uint32_t> group = {}, inode = {};
  std::optional<uint64_t> block = {}, logical = {};
  std::string_view field = {};
};

struct Scenario {
  Problem problem;
  std::string_view name;
  std::string_view feature_set;
  Place (*spoil)(const TestImage&);
  // Problems that this damage brings with it. Any other one is a false alarm.
  std::vector<Problem> besides = {};
  // e2fsck -fn says nothing: it does not look at this, or mends it without a word.
  bool e2fsck_is_silent = false;
};

[[nodiscard]] std::span<const Scenario> superblock_damage();
[[nodiscard]] std::span<const Scenario> group_damage();
[[nodiscard]] std::span<const Scenario> bitmap_damage();
[[nodiscard]] std::span<const Scenario> inode_damage();
[[nodiscard]] std::span<const Scenario> map_damage();
[[nodiscard]] std::span<const Scenario> journal_damage();
[[nodiscard]] std::span<const Scenario> attribute_damage();
[[nodiscard]] std::span<const Scenario> directory_damage();

// All of the above.
[[nodiscard]] std::vector<const Scenario*> all_damage();

}  // namespace extscrub::test
