// For every inode in use one byte: what kind of file it is, and how many of its links are still to be found. So two
// million files take two megabytes, and an entry's file type is compared with one load.
// add() is called once an inode, from any thread; then, after finish(), take_link() and the questions from any thread.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "scan/format/inode.h"

namespace extscrub {

// EXT2_FT_*, as directory entries have it; EXT2_FT_UNKNOWN for a kind that does not exist.
[[nodiscard]] uint8_t entry_type(FileType type);

class LinkTable {
 public:
  // An inode whose links do not fit into its byte.
  struct Counted {
    InodeNo inode;
    uint32_t links = 0;    // i_links_count
    uint32_t found = 0;
  };

  LinkTable(uint32_t groups, uint32_t inodes_per_group)
      : groups_(groups), inodes_per_group_(inodes_per_group), bytes_(new std::atomic<uint8_t*>[groups]()) {}
  LinkTable(LinkTable&&) = default;
  ~LinkTable() {
    if (bytes_)
      for (uint32_t g = 0; g < groups_; ++g) delete[] bytes_[g].load(std::memory_order_relaxed);
  }

  // Enters an inode in use. Its links are put into `counted` (of the calling thread) when they do not fit.
  void add(GroupNo group, uint32_t index, FileType type, uint16_t links, std::vector<Counted>& counted);
  // Takes over what the threads put aside.
  void finish(std::vector<Counted>&& counted);

  [[nodiscard]] bool in_use(InodeNo ino) const { return byte(ino) != 0; }
  [[nodiscard]] uint8_t type(InodeNo ino) const { return byte(ino) >> kTypeShift; }

  // One reference to an inode in use that is no directory. False when it has no link left: the caller keeps it.
  [[nodiscard]] bool take_link(InodeNo ino);

  // Calls fn(inode, links still to be found) for each inode of the group whose byte has some left.
  template <class Fn>
  void for_each_left(GroupNo group, Fn&& fn) const {
    const uint8_t* bytes = bytes_[group.value].load(std::memory_order_relaxed);
    if (!bytes) return;
    for (uint32_t i = 0; i < inodes_per_group_; ++i)
      if (const uint8_t left = bytes[i] & kLinksMask; left != 0 && left != kElsewhere)
        fn(InodeNo(group.value * inodes_per_group_ + i + 1), left);
  }
  [[nodiscard]] const std::vector<Counted>& counted() const { return counted_; }

 private:
  static constexpr unsigned kTypeShift = 5;
  static constexpr uint8_t kLinksMask = 31;
  static constexpr uint8_t kElsewhere = 31;  // a directory, or the links are in counted_

  [[nodiscard]] uint8_t byte(InodeNo ino) const {
    const uint32_t at = ino.value - 1;
    uint8_t* bytes = bytes_[at / inodes_per_group_].load(std::memory_order_relaxed);
    return bytes ? std::atomic_ref(bytes[at % inodes_per_group_]).load(std::memory_order_relaxed) : uint8_t{0};
  }

  uint32_t groups_, inodes_per_group_;
  std::unique_ptr<std::atomic<uint8_t*>[]> bytes_;
  std::vector<Counted> counted_;
};

}  // namespace extscrub
