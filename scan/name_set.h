// The names of one directory block, to find those that are there twice. Reused from block to block, so that no entry
// costs an allocation. For one thread.
#pragma once

#include <algorithm>
#include <string_view>
#include <vector>

#include "scan/dir_block.h"

namespace extscrub {

class NameSet {
 public:
  explicit NameSet(uint32_t block_size) {
    size_t slots = 64;
    while (slots < 2 * (block_size / kShortestEntry)) slots *= 2;
    slots_.resize(slots);
  }

  void clear() {
    if (used_ > 0) std::ranges::fill(slots_, Slot{});
    used_ = 0;
  }

  // Enters the name; false when same(other, name) holds for one that is in it. `hash`: equal for equal names.
  template <class Same>
  bool insert(std::string_view name, uint32_t hash, Same&& same) {
    const size_t mask = slots_.size() - 1;
    for (size_t at = (hash * 0x9E3779B1u >> 7) & mask;; at = (at + 1) & mask) {
      Slot& slot = slots_[at];
      if (!slot.name.data()) {
        if (++used_ < slots_.size()) slot = {name, hash};
        return true;
      }
      if (slot.hash == hash && same(slot.name, name)) return false;
    }
  }

 private:
  struct Slot {
    std::string_view name;
    uint32_t hash = 0;
  };
  std::vector<Slot> slots_;
  size_t used_ = 0;
};

}  // namespace extscrub
