#include "cli/input/unreadable_files.h"

#include <fmt/format.h>

#include <charconv>
#include <iterator>
#include <limits>
#include <optional>
#include <sstream>
#include <string_view>
#include <utility>
#include <vector>

namespace extscrub {

namespace {

constexpr uint64_t kMost = std::numeric_limits<int64_t>::max();  // what an offset in a file can be

// Decimal, or hexadecimal behind "0x".
std::optional<uint64_t> number_of(std::string_view text) {
  const int base = text.starts_with("0x") || text.starts_with("0X") ? 16 : 10;
  if (base == 16) text.remove_prefix(2);
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (error != std::errc() || end != text.data() + text.size() || number > kMost) return std::nullopt;
  return number;
}

// Enough to tell a line by; what is no text at all may have very long ones.
std::string beginning_of(const std::string& line) {
  constexpr size_t kMostShown = 80;  // bytes
  return line.size() <= kMostShown ? line : line.substr(0, kMostShown) + "...";
}

using Fields = std::vector<std::string>;

// Calls take(fields) for each line that is neither empty nor a comment; false from it ends the reading.
template <class Take>
Result<void> each_line(const std::string& file, std::string_view what, const TextFileRules& rules, Take&& take) {
  auto text = read_text_file(file, file, rules);
  if (!text) return std::unexpected(text.error());
  std::istringstream in(std::move(*text));
  size_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    std::istringstream stream(line);
    const Fields fields{std::istream_iterator<std::string>(stream), {}};
    if (fields.empty() || fields[0][0] == '#') continue;
    if (!take(fields))
      return std::unexpected(
          Error{.subject = file, .after = fmt::format(" is no {}: line {} is \"{}\"", what, number, beginning_of(line))});
  }
  return {};
}

}  // namespace

Result<UnreadableList> read_bad_blocks_file(const std::string& file, uint32_t unit, const TextFileRules& rules) {
  UnreadableList list{unit, {}};
  const auto read = each_line(file, "list of bad blocks", rules, [&](const Fields& fields) {
    const auto block = fields.size() == 1 ? number_of(fields[0]) : std::nullopt;
    if (block) list.ranges.emplace_back(*block, *block + 1);
    return block.has_value();
  });
  if (!read) return std::unexpected(read.error());
  return list;
}

Result<UnreadableList> read_ddrescue_map(const std::string& file, const TextFileRules& rules) {
  UnreadableList list{1, {}};
  bool is_first = true;  // the line that says where ddrescue is
  const auto read = each_line(file, "mapfile of ddrescue", rules, [&](const Fields& fields) {
    const auto at = number_of(fields[0]);
    if (std::exchange(is_first, false)) return at.has_value() && (fields.size() == 2 || fields.size() == 3);
    const auto size = fields.size() == 3 ? number_of(fields[1]) : std::nullopt;
    if (!at || !size || *size > kMost - *at || fields[2].size() != 1) return false;
    if (std::string_view("?*/-+").find(fields[2][0]) == std::string_view::npos) return false;
    if (fields[2] != "+") list.ranges.emplace_back(*at, *at + *size);
    return true;
  });
  if (!read) return std::unexpected(read.error());
  if (is_first) return std::unexpected(Error{.subject = file, .after = " is no mapfile of ddrescue: it is empty"});
  return list;
}

}  // namespace extscrub
