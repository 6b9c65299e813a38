// Free blocks for repairs: what neither the scan nor the block bitmap shows in use. What was handed out stays taken; the
// bitmaps themselves follow in a later round, from what is then counted. What was in use before the first repair is handed
// out only when nothing else is left: until the last write the image may still refer to it.
// For one thread.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "scan/inodes/inode_scan.h"

namespace extscrub {

class BlockAllocator {
 public:
  // `fs`, `scan` and `used_before`, which may be null, must outlive it. With `believe_scan` a block that only a bitmap calls
  // used is free too: for when all that uses blocks was seen.
  BlockAllocator(const FileSystem& fs, const InodeScan& scan, bool believe_scan, const GroupBits* used_before)
      : fs_(fs), scan_(scan), believe_scan_(believe_scan), used_before_(used_before) {}

  // The first block of a free cluster, near `goal` if possible; nothing when there is none.
  [[nodiscard]] std::optional<BlockNo> allocate(BlockNo goal);

  // `count` blocks in a row, from the begin of a cluster on; all of them inside `within` when it is given.
  [[nodiscard]] std::optional<BlockNo> allocate_run(BlockNo goal, uint32_t count, std::optional<GroupNo> within = {});

  // Something used the block's cluster before the first repair.
  [[nodiscard]] bool was_used(BlockNo block) const;

  // Gives back what was handed out and is not needed after all.
  void release(BlockNo first, uint64_t count);

  // Nothing is to be put there: something else is about to use these blocks.
  void reserve(BlockNo first, uint64_t count);

 private:
  using Bits = std::vector<bool>;

  Bits& taken(GroupNo group);
  void mark(BlockNo first, uint64_t count, bool used);
  [[nodiscard]] std::optional<BlockNo> find(BlockNo goal, uint32_t clusters, std::optional<GroupNo> within, bool reuse);
  [[nodiscard]] std::optional<BlockNo> find_in(GroupNo group, uint32_t from, uint32_t clusters, bool reuse);

  const FileSystem& fs_;
  const InodeScan& scan_;
  bool believe_scan_;
  const GroupBits* used_before_;  // clusters
  std::map<GroupNo, Bits> taken_;  // a bit a cluster; of the groups looked at
};

}  // namespace extscrub
