// tests/house/behaviours.txt against the tests that there are: each of the thirty behaviours of the write-back has a test that
// names it in a tag, and the list names no other.
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "tests/support/catch.h"

namespace {

using Behaviours = std::map<int, std::set<std::string>>;  // the names of each one's tests

constexpr int kBehaviours = 30;

Behaviours tagged() {
  Behaviours behaviours;
  extscrub::test::for_each_tag([&](const std::string& test, const std::string& tag) {
    if (const std::string prefix = "behaviour-"; tag.starts_with(prefix))
      behaviours[std::stoi(tag.substr(prefix.size()))].insert(test);
  });
  return behaviours;
}

// A line a behaviour, "17 a flush fails ...", then a line a test of it, indented.
Behaviours listed() {
  Behaviours behaviours;
  std::ifstream file(EXTSCRUB_SOURCE_DIR "/tests/house/behaviours.txt");
  int number = 0;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line.front() == '#') continue;
    if (line.starts_with("    ")) {
      behaviours[number].insert(line.substr(4));
    } else {
      std::istringstream(line) >> number;
      behaviours[number];
    }
  }
  return behaviours;
}

}  // namespace

TEST_CASE("every behaviour of the write-back has tests that name it, and they are those of the list") {
  const Behaviours tags = tagged(), list = listed();
  for (int number = 1; number <= kBehaviours; ++number) {
    INFO("behaviour " << number);
    CHECK(tags.contains(number));
    REQUIRE(list.contains(number));
    if (tags.contains(number)) CHECK(tags.at(number) == list.at(number));
  }
  CHECK(tags.size() == kBehaviours);
  CHECK(list.size() == kBehaviours);
}
