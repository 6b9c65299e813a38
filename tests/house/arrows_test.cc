// tests/house/arrows.txt against the includes that there are: a room knows only the rooms that it lists, and none in a circle.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <vector>

#include "tests/support/catch.h"

namespace {

namespace fs = std::filesystem;

using Arrows = std::map<std::string, std::set<std::string>>;  // by room, the rooms whose headers it includes

constexpr std::array kFloors = {"scan", "audit", "writeback", "cli"};

std::string room_of(const fs::path& file) { return file.parent_path().generic_string(); }

bool is_of_floor(const std::string& file) {
  return std::ranges::any_of(kFloors,
                             [&](std::string_view floor) { return file.starts_with(floor) && file[floor.size()] == '/'; });
}

void take_includes(const fs::path& source, const std::string& room, Arrows& arrows) {
  constexpr std::string_view kInclude = "#include \"";
  arrows[room];
  std::ifstream file(source);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(kInclude)) continue;
    const std::string header = line.substr(kInclude.size(), line.rfind('"') - kInclude.size());
    if (is_of_floor(header) && room_of(header) != room) arrows[room].insert(room_of(header));
  }
}

Arrows drawn() {
  Arrows arrows;
  const fs::path root = EXTSCRUB_SOURCE_DIR;
  for (const char* floor : kFloors)
    for (const auto& entry : fs::recursive_directory_iterator(root / floor)) {
      const std::string kind = entry.path().extension();
      if (kind == ".h" || kind == ".cc") take_includes(entry.path(), room_of(fs::relative(entry.path(), root)), arrows);
    }
  return arrows;
}

// A line a room, "audit/rules: audit/catalogue scan/format", each behind those it lists.
std::vector<std::pair<std::string, std::set<std::string>>> listed() {
  std::vector<std::pair<std::string, std::set<std::string>>> rooms;
  std::ifstream file(EXTSCRUB_SOURCE_DIR "/tests/house/arrows.txt");
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line.front() == '#') continue;
    std::istringstream words(line);
    std::string room, other;
    std::getline(words, room, ':');
    rooms.emplace_back(room, std::set<std::string>());
    while (words >> other) rooms.back().second.insert(other);
  }
  return rooms;
}

}  // namespace

TEST_CASE("rooms include what the list of arrows says, and no more") {
  const Arrows arrows = drawn();
  const auto rooms = listed();
  CHECK(rooms.size() == arrows.size());
  for (const auto& [room, others] : rooms) {
    INFO(room);
    REQUIRE(arrows.contains(room));
    CHECK(arrows.at(room) == others);
  }
}

TEST_CASE("no room includes one that stands behind it in the list of arrows") {
  std::set<std::string> before;
  for (const auto& [room, others] : listed()) {
    INFO(room);
    CHECK(std::ranges::includes(before, others));
    before.insert(room);
  }
}
