// Reads the contents of one file through its block map: for the file system's own files and for small ones.
// Belongs to one thread.
#pragma once

#include <vector>

#include "scan/map/block_map.h"

namespace extscrub {

class FileReader {
 public:
  // Walks the map of the inode, which must have one. Memory: 24 bytes a run of the file.
  FileReader(const FileSystem& fs, const Inode& inode);

  // Fills `out` from byte `at` of the file; holes, unwritten extents and what lies behind the end read as zeros.
  // Errors: those of the image.
  [[nodiscard]] Result<void> read(uint64_t at, MutableBytes out);

  // The map had no defects.
  [[nodiscard]] bool sound() const { return sound_; }
  // Nothing is mapped.
  [[nodiscard]] bool empty() const { return runs_.empty(); }

 private:
  const FileSystem& fs_;
  std::vector<Run> runs_;  // by logical block
  std::vector<std::byte> block_;
  BlockNo loaded_;  // what block_ holds; 0: nothing
  bool sound_ = false;
};

}  // namespace extscrub
