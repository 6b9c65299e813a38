// Amounts of bytes and times, for a person. Pure functions: any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace extscrub {

[[nodiscard]] std::string human_bytes(uint64_t bytes);                                        // "1.5 GiB"
[[nodiscard]] std::string human_rate(uint64_t bytes, std::chrono::duration<double> seconds);  // "812.0 MiB/s"
[[nodiscard]] std::string human_duration(std::chrono::duration<double> seconds);              // "1:02:03", "0:09"
[[nodiscard]] std::string utc(int64_t seconds);  // since 1970: "2026-11-27T03:00:12Z"

}  // namespace extscrub
