// What the device is to hold, as memory knows it: the staged blocks that have gone out so far, over what was read
// before the first write, with the superblock (and the journal's) as last written over both. Everything that is written
// or compared is composed here; nothing that was ever written is taken from the device again. For one thread at a time:
// the commit's, then the error worker's.
#pragma once

#include <vector>

#include "writeback/commit/write_set.h"

namespace extscrub {

class HeldBlock;

class MemoryTruth {
 public:
  explicit MemoryTruth(const ImageShape& shape) : shape_(shape) {}

  // The blocks of the set that have gone out lie over what was read. It must outlive this object, and so must each held
  // one.
  void lay(const WriteSet& set) { sets_.push_back(&set); }

  // From now on the held block's truth lies over everything.
  void hold(const HeldBlock& block) { held_.push_back(&block); }

  // Fills `out` with the piece's bytes.
  void compose(const Piece& piece, MutableBytes out) const;

 private:
  ImageShape shape_;
  std::vector<const WriteSet*> sets_;
  std::vector<const HeldBlock*> held_;
};

}  // namespace extscrub
