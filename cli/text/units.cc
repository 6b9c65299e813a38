#include "cli/text/units.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <array>

namespace extscrub {

namespace {

std::string human_amount(double amount) {
  static constexpr std::array kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  size_t unit = 0;
  while (amount >= 1024 && unit + 1 < kUnits.size()) {
    amount /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{:.0f} B", amount) : fmt::format("{:.1f} {}", amount, kUnits[unit]);
}

}  // namespace

std::string human_bytes(uint64_t bytes) { return human_amount(static_cast<double>(bytes)); }

std::string human_rate(uint64_t bytes, std::chrono::duration<double> seconds) {
  if (seconds.count() <= 0) return "0 B/s";
  return human_amount(static_cast<double>(bytes) / seconds.count()) + "/s";
}

std::string human_duration(std::chrono::duration<double> seconds) {
  if (!(seconds.count() >= 0)) return "0:00";
  if (seconds.count() > 99 * 3600.0) return "over 99 h";
  const auto s = static_cast<uint64_t>(seconds.count());
  if (s >= 3600) return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
  return fmt::format("{}:{:02}", s / 60, s % 60);
}

std::string utc(int64_t seconds) {
  // A state file may hold any number; more than fmt can break into a date makes it throw.
  if (seconds < 0 || seconds > int64_t{253'402'300'799}) return "an unknown time";
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(static_cast<std::time_t>(seconds)));
}

}  // namespace extscrub
