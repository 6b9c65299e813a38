// What the scan of the directories gives: defects of blocks, entries and indexes while they are hot, and at the end what
// only all directories together show.
// Plain values. A DirectorySink takes facts from many threads at once.
#pragma once

#include <string_view>
#include <vector>

#include "scan/format/htree.h"
#include "scan/format/inode.h"

namespace extscrub {

enum class EntryDefectKind : uint8_t {
  record,            // rec_len or name_len do not fit; what lies behind it in the block was not seen
  dot,               // the first entry is not `.`
  dot_inode,         // `.` names another inode
  dot_large,         // `.` takes more room than it needs
  dotdot,            // the second entry is not `..`
  dot_again,         // `.` or `..` further down
  self,              // names its own directory
  root,              // names the root
  name_empty,
  name_invalid,      // holds '/' or NUL, or is not well-formed in the encoding
  name_short,        // too short to be encrypted
  inode_range,       // reserved, or there is none
  inode_on_bad_block,
  inode_unused,
  lost_directory,    // a directory, as its contents say too; found: EXT2_FT_* of its inode, unknown when that is deleted
  inode_uninit,      // in the part of the inode table that was never used
  value_inode,       // belongs to extended attributes
  type,              // file type is not the inode's; expected, found: EXT2_FT_*
  duplicate,         // the name is there already
  unencrypted,       // an unencrypted file in an encrypted directory
  policy,            // of encryption, other than the directory's
  checksum,
  tail_missing,      // no place for the checksum
  hole,
  unreadable,
  inline_size,       // of an inline directory
};

struct EntryDefect {
  EntryDefectKind kind{};
  InodeNo directory;
  BlockNo block;          // 0: none
  uint64_t logical = 0;   // in the directory
  uint32_t offset = 0;    // in the block
  InodeNo target;         // as the entry says
  std::string_view name;  // of the entry; valid during the call
  uint64_t expected = 0, found = 0;
};

class DirectorySink {
 public:
  virtual ~DirectorySink() = default;
  virtual void entry(const EntryDefect& defect) = 0;
  virtual void index(InodeNo directory, const HtreeDefect& defect) = 0;
};

// An entry for a directory that another directory has one for already.
struct DirectoryLink {
  InodeNo directory, parent;
  auto operator<=>(const DirectoryLink&) const = default;
};

// An inode that is no directory, and whose i_links_count is not the number of its names.
struct LinkFacts {
  InodeNo inode;
  uint32_t links = 0;  // i_links_count
  uint32_t found = 0;  // names, or for an ea_inode that attributes use, 1
};

struct DirectoryScan {
  std::vector<DirectoryLink> extra_links;  // sorted
  std::vector<LinkFacts> links;            // by inode
  InodeNo lost_found;                      // what lost+found in the root names; 0 when there is none
  uint64_t bytes_read = 0;
};

}  // namespace extscrub
