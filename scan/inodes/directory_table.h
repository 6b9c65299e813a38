// All directories of a file system: what the inode scan knows of each, and where their blocks lie, packed.
// A DirectoryCollector belongs to one thread; a DirectoryTable is built by one, and then its entries are changed only
// through atomics (see directory_scan.cc).
#pragma once

#include <atomic>
#include <set>
#include <vector>

#include "scan/inodes/link_table.h"
#include "scan/map/block_map.h"

namespace extscrub {

struct Directory {
  enum Flag : uint8_t {
    indexed = 1,     // has an htree, by its flags
    in_inode = 2,    // inline data
    encrypted = 4,
    casefold = 8,
    incomplete = 16,  // its map, or one of its blocks, hides entries
    unconnected = 32,  // no way leads to it from the root, and no directory has an entry for it, or only those below it
    adrift = 64,       // it hangs below an unconnected one
  };
  InodeNo inode;
  uint32_t generation = 0;
  uint32_t blocks = 0;        // 1 + the last mapped logical block
  uint32_t first_range = 0;   // of its blocks in HashRanges, where it is indexed
  uint32_t parent = 0;        // the directory that has an entry for it; 0 none found
  uint32_t dotdot = 0;        // what `..` says; 0 unknown
  uint32_t children = 0;      // directories in it
  uint16_t links = 0;         // i_links_count
  uint8_t flags = 0;
  uint8_t hash_version = 0xFF;  // of the htree, as its root says; 0xFF when that was not read

  // Other threads may set `incomplete` meanwhile.
  [[nodiscard]] bool is(Flag flag) const {
    return std::atomic_ref(const_cast<uint8_t&>(flags)).load(std::memory_order_relaxed) & flag;
  }
};

// Blocks of one directory that follow each other in it and in the image.
struct DirectoryRun {
  uint64_t physical : 48;  // of an inline directory: the block of the inode table
  uint64_t count : 16;     // blocks; 0 for an inline directory
  uint32_t logical;
  uint32_t directory;      // index in the table (while collecting: the inode)
};
static_assert(sizeof(DirectoryRun) == 16);

// A hole in a directory: logical blocks that nothing is mapped to, before the last one.
struct DirectoryHole {
  InodeNo directory;
  uint32_t logical = 0;
  uint32_t count = 0;
};

// The policy of an encrypted inode, as a number; 0 when it could not be read.
struct EncryptedInode {
  InodeNo inode;
  uint32_t policy = 0;
};

// Holes of one directory that are kept.
inline constexpr uint32_t kMostHoles = 100;

class DirectoryCollector {
 public:
  explicit DirectoryCollector(const FileSystem& fs) : fs_(&fs) {}

  // An inode in use: its kind and links, and what directories need to know of it. True when it is a directory of the tree.
  bool add_inode(const Inode& inode, GroupNo group, LinkTable& links);
  // The parts of that directory's map, and how they ended; `map` null when it has none.
  void add_run(InodeNo directory, const Run& run);
  void end_directory(const BlockMap* map);

  std::vector<Directory> directories;
  std::vector<DirectoryRun> runs;
  std::vector<DirectoryHole> holes;
  std::vector<LinkTable::Counted> counted;
  std::vector<EncryptedInode> encrypted;
  std::vector<InodeNo> exempt;  // AFS inodes, which have no names
  std::set<InodeNo> cut;        // directories whose runs were dropped: there are more than the table takes

 private:
  void drop_excess();

  const FileSystem* fs_;
  uint64_t next_logical_ = 0;
  uint32_t holes_ = 0;  // of the directory at work
};

struct DirectoryTable {
  std::vector<Directory> directories;  // by inode
  std::vector<DirectoryRun> runs;      // by physical block
  std::vector<DirectoryHole> holes;    // by directory and logical block
  std::vector<EncryptedInode> encrypted;  // by inode
  std::vector<InodeNo> exempt;            // sorted
  std::set<InodeNo> cut;                  // as in DirectoryCollector
  uint64_t blocks = 0;                    // of all runs
  uint64_t indexed_blocks = 0;            // of all indexed directories

  // Moves in what the collectors have.
  void take(DirectoryCollector& collector);
  // Sorts, and cuts off what no sound image can have: more blocks of directories than twice the image's.
  void finish(const Geometry& geometry);

  // The index of the directory with that inode; directories.size() when there is none.
  [[nodiscard]] uint32_t find(InodeNo ino) const;
};

}  // namespace extscrub
