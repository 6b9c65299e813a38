#include "audit/stage/free_name.h"

#include <fmt/format.h>

namespace extscrub {

namespace {

constexpr size_t kLongestName = EXT2_NAME_LEN;

// Cut to `length` bytes, but not inside a character of UTF-8.
std::string shortened(const std::string& name, size_t length) {
  if (name.size() <= length) return name;
  while (length > 0 && (static_cast<unsigned char>(name[length]) & 0xC0) == 0x80) --length;
  return name.substr(0, length);
}

}  // namespace

std::string FreeNames::key(const std::string& name) const {
  if (folded_)
    if (const auto hash = hasher_.folded_hash(EXT2_HASH_TEA, name)) return fmt::format("{:08x}", *hash);
  return name;
}

std::string FreeNames::choose(const std::string& name) {
  for (uint32_t& number = next_[name];; ++number) {
    const std::string suffix = fmt::format("~{}", number);
    const std::string candidate = shortened(name, kLongestName - suffix.size()) + suffix;
    if (taken_.insert(key(candidate)).second) return candidate;
  }
}

}  // namespace extscrub
