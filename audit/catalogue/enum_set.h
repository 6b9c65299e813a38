// A set of the values of an enumeration that has no more than 64. A plain value: any thread.
#pragma once

#include <cstdint>
#include <initializer_list>

namespace extscrub {

template <class E>
class EnumSet {
 public:
  constexpr EnumSet() = default;
  constexpr EnumSet(std::initializer_list<E> values) {
    for (const E value : values) bits_ |= bit(value);
  }
  [[nodiscard]] constexpr bool has(E value) const { return bits_ & bit(value); }
  [[nodiscard]] constexpr bool empty() const { return bits_ == 0; }
  constexpr bool operator==(const EnumSet&) const = default;

 private:
  static constexpr uint64_t bit(E value) { return uint64_t{1} << static_cast<unsigned>(value); }

  uint64_t bits_ = 0;
};

}  // namespace extscrub
