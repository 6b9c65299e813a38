#include "cli/options/arguments.h"

#include <algorithm>
#include <bit>
#include <cctype>
#include <charconv>
#include <iterator>
#include <limits>
#include <utility>

namespace extscrub {

namespace {

// The number at the beginning of `text`, of which what stands behind it is left.
std::optional<uint64_t> leading_number(std::string_view& text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return number;
}

}  // namespace

std::optional<uint64_t> whole_number(std::string_view text) {
  const auto number = leading_number(text);
  return text.empty() ? number : std::nullopt;
}

bool is_number_within(std::string_view text, uint64_t least, uint64_t most) {
  const auto number = whole_number(text);
  return number && *number >= least && *number <= most;
}

std::optional<uint64_t> size_in_bytes(std::string_view text) {
  constexpr std::string_view kSuffixes = "KMGT";
  const auto number = leading_number(text);
  if (!number || text.size() > 1) return std::nullopt;
  const size_t suffix = text.empty() ? 0 : kSuffixes.find(static_cast<char>(std::toupper(text[0]))) + 1;
  if (!text.empty() && suffix == 0) return std::nullopt;
  const uint64_t most = static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) >> (10 * suffix);
  if (*number > most) return std::nullopt;
  return *number << (10 * suffix);
}

std::optional<std::chrono::milliseconds> duration(std::string_view text) {
  static constexpr std::pair<std::string_view, int64_t> kUnits[] = {{"", 1000},    {"ms", 1},        {"s", 1000},
                                                                    {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}};
  constexpr uint64_t kMost = 1'000'000;
  const auto number = leading_number(text);
  const auto unit = std::ranges::find(kUnits, text, &std::pair<std::string_view, int64_t>::first);
  if (!number || *number == 0 || *number > kMost || unit == std::end(kUnits)) return std::nullopt;
  return std::chrono::milliseconds(static_cast<int64_t>(*number) * unit->second);
}

bool is_block_size(std::string_view text) {
  const auto size = whole_number(text);
  return size && std::has_single_bit(*size) && *size >= 1024 && *size <= 65536;
}

}  // namespace extscrub
