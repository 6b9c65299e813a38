// Decodes directory blocks: what their entries say against what the inode scan knows, the hashes of the names in indexed
// directories, and who refers to whom. For one thread; many work on the same scan and table, which they change only
// through atomics.
#pragma once

#include <span>

#include "scan/directory/directory_facts.h"
#include "scan/directory/name_set.h"
#include "scan/format/dir_hash.h"
#include "scan/inodes/inode_scan.h"

namespace extscrub {

// Of the blocks of all indexed directories, by Directory::first_range + logical block. Each is written by one thread.
struct HashRanges {
  explicit HashRanges(uint64_t blocks) : ranges(blocks), kinds(blocks) {}
  std::vector<HashRange> ranges;
  std::vector<uint8_t> kinds;  // HashRange::Kind
};

class DirectoryChecker {
 public:
  // A name of a directory without index that has more than one block.
  struct Fingerprint {
    uint32_t directory = 0;  // index in the table
    uint32_t hash = 0;
    auto operator<=>(const Fingerprint&) const = default;
  };
  struct Node {
    uint32_t directory = 0;  // index in the table
    uint32_t logical = 0;
    uint8_t levels = 0;      // of a root
    std::vector<HtreeEntry> entries;
  };

  DirectoryChecker(const FileSystem& fs, InodeScan& scan, const DirHasher& hasher, HashRanges& ranges, DirectorySink& sink,
                   std::span<const InodeNo> own_files);

  // One block of the directory with that index in the table.
  void check_block(uint32_t index, BlockNo at, uint32_t logical, Bytes block);
  // A directory that lies in its inode.
  void check_inline(uint32_t index, BlockNo at, const Inode& inode);
  // The hashes of a leaf alone, once the version is known.
  void hash_block(uint32_t index, uint32_t logical, Bytes block);

  std::vector<DirectoryLink> extra_links;
  std::vector<InodeNo> excess;  // one element a reference to an inode that had no links left
  std::vector<Fingerprint> fingerprints;
  std::vector<Node> nodes;
  InodeNo lost_found;

 private:
  void check_entries(Bytes area, uint32_t begin, unsigned position, bool leaf);
  void check_dot(const DirEntry& e, Bytes area);
  void check_dotdot(const DirEntry& e, Bytes area);
  void check_entry(const DirEntry& e, std::optional<uint32_t> hash);
  bool check_target(const DirEntry& e);
  [[nodiscard]] bool is_lost(const DirEntry& e, uint8_t type);
  void check_name(const DirEntry& e);
  void check_type(const DirEntry& e, uint8_t expected);
  void check_policy(const DirEntry& e);
  void check_duplicate(const DirEntry& e, std::optional<uint32_t> hash);
  void take_reference(const DirEntry& e);
  // Where the entries end: before the tail, if there is one.
  size_t check_tail(Bytes block);
  bool take_node(Bytes block);
  void hash_entries(Bytes area, unsigned version);
  std::optional<uint32_t> folded_hash_of(const DirEntry& e, Bytes area, unsigned version) const;
  void take_hash(uint32_t hash);
  [[nodiscard]] unsigned assumed_version() const;
  void store_range();
  EntryDefect& fill(EntryDefect& defect, EntryDefectKind kind) const;
  void defect(EntryDefectKind kind, const DirEntry& e, uint64_t expected = 0, uint64_t found = 0);
  void mark_incomplete();
  [[nodiscard]] uint32_t seed() const;

  const FileSystem& fs_;
  const Geometry& g_;
  const std::span<const InodeNo> own_files_;  // which no entry may name
  InodeScan& scan_;
  const DirHasher& hasher_;
  HashRanges& ranges_;
  DirectorySink& sink_;
  NameSet names_;
  bool has_types_, strict_names_;

  // The block at work.
  Directory* directory_ = nullptr;
  uint32_t index_ = 0;
  BlockNo block_;
  uint32_t logical_ = 0;
  HashRange range_;
  std::vector<DirEntry> entries_;                 // in use, without `.` and `..`
  std::vector<std::optional<uint32_t>> hashes_;   // of entries_; none where it cannot be computed
  std::vector<std::string_view> names_to_hash_;
  std::vector<uint32_t> plain_hashes_;
};

// The hash version that directories are taken to have until their root has been read.
[[nodiscard]] unsigned default_hash_version(const ext2_super_block& super);

}  // namespace extscrub
