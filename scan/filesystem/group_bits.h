// One bit a cluster or an inode, for a whole file system, allocated a group at a time on first use: memory grows with
// what is used, not with what could be.
// set(), set_range() and test() may be called from any number of threads at once; each bit is set by one atomic
// fetch-or, so of several threads that claim a cluster exactly one finds it free.
#pragma once

#include <atomic>
#include <bit>
#include <memory>
#include <span>

#include "scan/format/geometry.h"
#include "scan/format/types.h"

namespace extscrub {

class GroupBits {
 public:
  using Word = std::atomic<uint64_t>;

  GroupBits(uint32_t groups, uint32_t bits_per_group)
      : groups_(groups), words_per_group_((bits_per_group + 63) / 64), words_(new std::atomic<Word*>[groups]()) {}
  GroupBits(GroupBits&&) = default;
  ~GroupBits() {
    if (words_)
      for (uint32_t g = 0; g < groups_; ++g) delete[] words_[g].load(std::memory_order_relaxed);
  }

  // Sets the bit; returns whether it was set before.
  bool set(GroupNo group, uint32_t bit) {
    const uint64_t mask = uint64_t{1} << bit % 64;
    return words_of(group)[bit / 64].fetch_or(mask, std::memory_order_relaxed) & mask;
  }

  // Sets `count` bits from `bit` on, all in the group; calls again(bit) for each that was set before.
  template <class Again>
  void set_range(GroupNo group, uint32_t bit, uint32_t count, Again&& again) {
    Word* words = words_of(group);
    while (count > 0) {
      const uint32_t shift = bit % 64;
      const uint32_t n = std::min(count, 64 - shift);
      const uint64_t mask = (n == 64 ? ~uint64_t{0} : (uint64_t{1} << n) - 1) << shift;
      for (uint64_t was = words[bit / 64].fetch_or(mask, std::memory_order_relaxed) & mask; was; was &= was - 1)
        again(bit - shift + static_cast<uint32_t>(std::countr_zero(was)));
      bit += n;
      count -= n;
    }
  }

  [[nodiscard]] bool test(GroupNo group, uint32_t bit) const {
    const Word* words = words_[group.value].load(std::memory_order_acquire);
    return words && words[bit / 64].load(std::memory_order_relaxed) >> bit % 64 & 1;
  }

  // Of bits for clusters: the bit of the block's.
  [[nodiscard]] bool test(const Geometry& g, BlockNo block) const { return test(g.group_of(block), g.cluster_in_group(block)); }

  // Of any of `count` blocks.
  [[nodiscard]] bool test_any(const Geometry& g, BlockNo first, uint64_t count) const {
    for (uint64_t i = 0; i < count; ++i)
      if (test(g, first + i)) return true;
    return false;
  }

  // The group's words, 64 bits each, bit 0 first; empty when nothing was ever set in it.
  [[nodiscard]] std::span<const Word> words(GroupNo group) const {
    const Word* words = words_[group.value].load(std::memory_order_acquire);
    return words ? std::span(words, words_per_group_) : std::span<const Word>();
  }

 private:
  Word* words_of(GroupNo group) {
    std::atomic<Word*>& slot = words_[group.value];
    Word* words = slot.load(std::memory_order_acquire);
    if (words) return words;
    auto fresh = std::make_unique<Word[]>(words_per_group_);
    if (slot.compare_exchange_strong(words, fresh.get(), std::memory_order_acq_rel)) return fresh.release();
    return words;
  }

  uint32_t groups_;
  uint32_t words_per_group_;
  std::unique_ptr<std::atomic<Word*>[]> words_;
};

}  // namespace extscrub
