// The inodes that hold attribute values (ea_inode), held against the attributes that refer to them.
// read_ea_inodes() uses the threads of the current task arena.
#pragma once

#include "scan/inodes/inode_scan.h"

namespace extscrub {

struct EaInodeFacts {
  InodeNo inode;
  InodeNo referrer;            // an inode with an attribute that names it; 0: there is none
  uint64_t references = 0;     // attributes that name it, those of a shared block once
  uint64_t stored_references = 0;
  bool readable = true;        // the inode
  FileType type{};
  bool in_use = true;          // has links
  bool lustre = false;         // the old form, without hash and reference count
  uint64_t size = 0;           // i_size
  uint64_t wrong_size = 0;     // what an attribute says, where it is not i_size; 0: all agree
  bool value_read = false;     // so that its hash says something
  uint32_t hash_expected = 0, hash_found = 0;  // of the value
};

// CRC32C of a value of i_size bytes, as its inode keeps it in i_atime. Errors: too large, the map is damaged, the device.
[[nodiscard]] Result<uint32_t> ea_value_hash(const FileSystem& fs, const Inode& inode);

// Those that some attribute names and those with EA_INODE_FL, by number.
[[nodiscard]] std::vector<EaInodeFacts> read_ea_inodes(const FileSystem& fs, const InodeScan& scan);

}  // namespace extscrub
