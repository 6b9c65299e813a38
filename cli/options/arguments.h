// What the arguments of options mean: numbers, sizes, times. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

namespace extscrub {

// Decimal digits and nothing else; CLI11 takes "-1" for a very large number.
[[nodiscard]] std::optional<uint64_t> whole_number(std::string_view text);
[[nodiscard]] bool is_number_within(std::string_view text, uint64_t least, uint64_t most);

// Bytes, with a suffix K, M, G or T for a power of 1024. The largest is what a file's offset can be.
[[nodiscard]] std::optional<uint64_t> size_in_bytes(std::string_view text);

// A positive number with a unit: ms, s, m, h or d; without one it counts seconds.
[[nodiscard]] std::optional<std::chrono::milliseconds> duration(std::string_view text);

// Of ext2/3/4: a power of two from 1024 to 65536.
[[nodiscard]] bool is_block_size(std::string_view text);

}  // namespace extscrub
