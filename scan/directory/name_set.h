// The names of one directory block, to find those that are there twice. Reused from block to block, so that no entry
// costs an allocation, and small enough to stay in the processor's first cache. For one thread.
#pragma once

#include <algorithm>
#include <string_view>
#include <vector>

#include "scan/format/dir_block.h"

namespace extscrub {

class NameSet {
 public:
  explicit NameSet(uint32_t block_size) {
    const size_t most = block_size / kShortestEntry;
    size_t slots = 64;
    while (slots < 2 * most) slots *= 2;
    slots_.resize(slots);
    names_.reserve(most);
  }

  void clear() {
    if (!names_.empty()) std::ranges::fill(slots_, uint16_t{0});
    names_.clear();
  }

  // Enters the name; false when same(other, name) holds for one that is in it. `hash`: equal for equal names.
  template <class Same>
  bool insert(std::string_view name, uint32_t hash, Same&& same) {
    const size_t mask = slots_.size() - 1;
    for (size_t at = (hash * 0x9E3779B1u >> 7) & mask;; at = (at + 1) & mask) {
      uint16_t& slot = slots_[at];
      if (slot == 0) {
        if (names_.size() + 1 < slots_.size()) {
          names_.push_back({name, hash});
          slot = static_cast<uint16_t>(names_.size());
        }
        return true;
      }
      const Name& other = names_[slot - 1u];
      if (other.hash == hash && same(other.name, name)) return false;
    }
  }

 private:
  struct Name {
    std::string_view name;
    uint32_t hash = 0;
  };
  std::vector<Name> names_;
  std::vector<uint16_t> slots_;  // 1 + index of the name; 0: free. A block of 64 KiB has 5461 names at most
};

}  // namespace extscrub
