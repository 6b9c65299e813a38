// Strong types for the three kinds of numbers that ext4 code confuses: blocks, inodes and block groups.
// Plain values without any state: thread-safe as integers are.
#pragma once

#include <fmt/format.h>

#include <compare>
#include <cstdint>
#include <functional>

namespace extscrub {

template <class Tag, class Rep>
struct Number {
  Rep value = 0;

  constexpr Number() = default;
  constexpr explicit Number(Rep v) : value(v) {}
  constexpr auto operator<=>(const Number&) const = default;
  constexpr explicit operator bool() const { return value != 0; }
  constexpr Number operator+(Rep n) const { return Number(value + n); }
  constexpr Rep operator-(Number n) const { return value - n.value; }
  constexpr Number& operator++() {
    ++value;
    return *this;
  }
};

using BlockNo = Number<struct BlockTag, uint64_t>;  // a physical block of the image; block 0 holds byte 0
using InodeNo = Number<struct InodeTag, uint32_t>;  // counts from 1; 0 is "none"
using GroupNo = Number<struct GroupTag, uint32_t>;  // counts from 0

// Blocks that follow each other.
struct BlockRange {
  BlockNo first, end;  // `end` is the first behind them
  bool operator==(const BlockRange&) const = default;
};

}  // namespace extscrub

template <class Tag, class Rep>
struct std::hash<extscrub::Number<Tag, Rep>> {
  size_t operator()(extscrub::Number<Tag, Rep> n) const noexcept { return std::hash<Rep>{}(n.value); }
};

template <class Tag, class Rep>
struct fmt::formatter<extscrub::Number<Tag, Rep>> : fmt::formatter<Rep> {
  template <class Context>
  auto format(extscrub::Number<Tag, Rep> n, Context& ctx) const {
    return fmt::formatter<Rep>::format(n.value, ctx);
  }
};
