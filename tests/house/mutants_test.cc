// tests/house/mutants.txt against the sources: each guard stands where the list says, once. Whether its tests notice when it is
// gone takes half an hour: `make mutants`.
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/catch.h"

namespace {

struct Guard {
  std::string name, file, lines;
};

std::vector<Guard> guards() {
  std::vector<Guard> all;
  std::ifstream list(EXTSCRUB_SOURCE_DIR "/tests/house/mutants.txt");
  for (std::string line; std::getline(list, line);) {
    if (line.starts_with("== ")) all.push_back({line.substr(3), {}, {}});
    if (line.starts_with("in ")) all.back().file = line.substr(3);
    if (line.starts_with("-")) all.back().lines += (all.back().lines.empty() ? "" : "\n") + line.substr(1);
  }
  return all;
}

size_t times(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++n;
  return n;
}

}  // namespace

TEST_CASE("guards that tests have to notice are where the list of mutants says") {
  const auto all = guards();
  CHECK(all.size() > 40);
  for (const Guard& guard : all) {
    INFO(guard.name << " in " << guard.file);
    std::ifstream file(std::string(EXTSCRUB_SOURCE_DIR "/") + guard.file);
    REQUIRE(file);
    std::stringstream text;
    text << file.rdbuf();
    REQUIRE_FALSE(guard.lines.empty());
    CHECK(times(text.str(), guard.lines) == 1);
  }
}
