// The names of a directory while it is being repaired, and how they are put into blocks.
// Plain values; any thread.
#pragma once

#include <span>
#include <string>

#include "scan/format/dir_block.h"

namespace extscrub {

// One entry other than the first two, `.` and `..`.
struct DirName {
  std::string name;
  InodeNo inode;
  uint8_t type = 0;     // as stored
  uint64_t hash = 0;    // the 8 bytes behind the name, in directories whose entries carry their hash
  uint64_t logical = 0; // where it was read: logical block and offset; an inline directory has a part 0 and a part 1
  uint32_t offset = 0;
};

// How the entries of a directory are stored.
struct EntryForm {
  uint32_t block_size = 0;
  bool with_hash = false;     // casefolded and encrypted
  bool with_checksum = false; // metadata_csum
  bool with_type = false;     // the feature filetype
  uint32_t seed = 0;          // of checksums
  InodeNo self, parent;       // for `.` and `..`

  [[nodiscard]] uint32_t size_of(const DirName& name) const { return entry_size(name.name.size()) + (with_hash ? 8 : 0); }
  // Bytes of a block for entries, and what of them `.` and `..` take.
  [[nodiscard]] uint32_t room() const { return block_size - (with_checksum ? static_cast<uint32_t>(kDirTail) : 0); }
  [[nodiscard]] static constexpr uint32_t dots() { return 2 * kShortestEntry; }
};

// Writes the names one behind the other into `area`, the last one taking what is left; they must fit. Nothing else
// is changed when there is nothing to store in: an area without room.
void put_names(const EntryForm& form, std::span<const DirName* const> names, MutableBytes area);

// A leaf: `.` and `..` if it is the first block, the names, and the checksum.
void put_leaf(const EntryForm& form, bool first, std::span<const DirName* const> names, MutableBytes block);

// How many of the names fit into one leaf with at most `room` bytes in use.
[[nodiscard]] size_t names_that_fit(const EntryForm& form, uint32_t room, std::span<const DirName* const> names);

}  // namespace extscrub
