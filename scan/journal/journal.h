// The journal (jbd2) of a file system: where its log lies, what its superblock says, and the replay of the log into an
// overlay, as the next mount would do it. On-disk format: big-endian, described in the kernel's documentation of ext4,
// "Journal (jbd2)". Everything read is untrusted: what makes no sense becomes a defect, and no loop is longer than the
// log. For one thread: a replay stages blocks.
#pragma once

#include <array>
#include <string_view>
#include <vector>

#include "scan/filesystem/file_system.h"
#include "scan/map/block_map.h"

namespace extscrub {

enum class JournalDefectKind : uint8_t {
  // Where the log lies.
  inode_invalid,       // s_journal_inum is out of range, not a regular file, without links, or has flags it cannot have
  inode_map,           // too short, with holes, or mapped to blocks that cannot be
  backup_map_used,     // the inode led to no journal, its backup in s_jnl_blocks was gone by
  device_missing,      // the journal lies on another device, which was not given
  device_invalid,      // the device given is no journal
  device_uuid,         // the device given is another file system's journal
  // The journal's superblock.
  magic,
  block_type,          // of the superblock: neither version 1 nor 2
  unknown_features,
  fields_of_version_2,  // a version 1 superblock with fields that only version 2 has
  block_size,
  length,              // s_maxlen is more than the blocks there are, or too few
  first,               // s_first
  start,               // s_start
  users,               // s_nr_users
  checksum_type,
  checksum,            // s_checksum
  checksum_features,   // two kinds of checksums at once
  fast_commit_area,    // s_num_fc_blks leaves no room for the log
  // The log.
  not_empty,           // there is a log, but the file system does not need recovery
  unreadable,          // a block of the log that the device does not give
  descriptor_checksum,
  revoke_checksum,
  commit_checksum,
  block_checksum,      // of a logged block; it was not replayed
  target,              // a logged block belongs behind the end of the image
  revoke_count,        // r_count
  endless,             // the log comes back to where it began without an end
  fast_commit_checksum,
  fast_commit_tag,     // a tag that is unknown, or whose length cannot be
  fast_commit_replay,  // a tag that does not go with the file system
};

[[nodiscard]] std::string_view name(JournalDefectKind kind);

struct JournalDefect {
  JournalDefectKind kind{};
  uint64_t log_block = 0;  // block of the log; that of its superblock where the defect is not in the log
  uint32_t sequence = 0;   // of the transaction; 0 where there is none
  uint64_t expected = 0, found = 0;
};

struct JournalFacts {
  bool present = false;   // the file system says that it has a journal
  bool external = false;
  bool usable = false;    // the superblock is one to go by
  bool fast_commits_fit = true;  // beside the blocks that fast commits take, there is room for the log
  bool flagged = false;   // the file system says that it needs recovery
  bool needs_recovery = false;  // there is something to replay
  bool whole = true;      // the log could be replayed to its end
  InodeNo inode;          // 0 for an external journal
  std::array<uint8_t, 16> uuid{};
  uint64_t blocks = 0;    // of the log, fast commits included
  uint32_t error = 0;     // s_errno, as a positive errno
  uint32_t first_sequence = 0, last_sequence = 0;  // replayed; last < first when none was
  uint32_t transactions = 0;
  uint32_t log_end = 0;   // the block of the log behind what was replayed
  uint64_t replayed_blocks = 0;  // writes of the replay; a block may be written by several transactions
  uint64_t revoked_blocks = 0;   // writes left out because of a revoke record
  uint32_t fast_commit_tags = 0;
  std::vector<JournalDefect> defects;
};

// The log's blocks by their number in the log: in the image, along the journal inode's map, or on a device of its own,
// where they are counted from the device's begin.
class JournalLog {
 public:
  // Fills `out`, whole blocks, from this one on. Errors: the log has no such blocks, or the device does not give them.
  [[nodiscard]] Result<void> read(uint64_t log_block, MutableBytes out) const;
  // Tells the kernel that the block will be read soon. Never fails.
  void prefetch(uint64_t log_block) const noexcept;
  [[nodiscard]] uint64_t blocks() const { return blocks_; }
  [[nodiscard]] uint64_t super_block() const { return super_; }
  [[nodiscard]] uint32_t block_size() const { return block_size_; }
  // Where the block lies in the image; nothing for a journal on another device.
  [[nodiscard]] std::optional<BlockNo> place(uint64_t log_block) const;
  // The block of the image belongs to the log, its superblock included.
  [[nodiscard]] bool contains(BlockNo block) const;
  // Both lie in the image, at the same places.
  [[nodiscard]] bool lies_as(const JournalLog& other) const;

 private:
  friend class JournalFinder;
  [[nodiscard]] const Run* find_run(uint64_t log_block) const;

  const Overlay* image_ = nullptr;
  const Image* device_ = nullptr;
  uint64_t super_ = 0;         // the block with the journal's superblock
  uint32_t block_size_ = 0;
  uint64_t blocks_ = 0;
  std::vector<Run> runs_;      // in logical order, without holes
};

// What the journal's superblock says, in host order, bounded by the log's real length.
struct JournalSuper {
  uint32_t version = 0;
  uint32_t first = 0;     // the first block of the circular log
  uint32_t end = 0;       // the block behind its last
  uint32_t fc_first = 0;  // the first block of fast commits; fc_end, or behind it, when there are none
  uint32_t fc_end = 0;
  uint32_t fc_blocks = 0;  // of fast commits, where there are any: a mount that makes none takes the feature off the journal
  uint32_t start = 0;     // where the oldest transaction begins; 0: the log is empty
  uint32_t sequence = 0;
  uint32_t head = 0;      // where the log is to go on when it is empty; 0 where the kernel does not keep it
  uint32_t compat = 0, incompat = 0, ro_compat = 0;
  uint32_t csum_seed = 0;

  [[nodiscard]] bool has_incompat(uint32_t feature) const { return incompat & feature; }
  [[nodiscard]] bool csum_v2_or_v3() const;
  [[nodiscard]] size_t tag_bytes() const;      // of a descriptor's tag, without the UUID that may follow
  [[nodiscard]] size_t tail_bytes() const;     // of the checksum at the end of descriptor and revoke blocks
};

// A tag of the fast commit area, value included, as it is stored.
struct FastCommitTag {
  uint16_t tag = 0;
  std::vector<std::byte> value;
};

[[nodiscard]] bool has_journal_uuid(const ext2_super_block& super);
// Two of the three fields tell: one that is damaged makes no inode a device. Where they name a device and an inode, this is gone
// by that has a journal: nobody makes one who has a device.
[[nodiscard]] bool names_journal_device(const FileSystem& fs);

struct Journal {
  JournalFacts facts;
  JournalLog log;
  JournalSuper super;
  std::vector<FastCommitTag> fast_commits;  // to be replayed behind the log, by who can edit files
};

// Finds the journal and reads its superblock. `fs` with its descriptors loaded; `device` is the image of an external
// journal, or null; `unflagged`: what its log holds is to be replayed though the file system does not say so. What is wrong
// stands in the facts.
[[nodiscard]] Journal open_journal(const FileSystem& fs, const Image* device, bool unflagged = false);

// Replays the log into `overlay` (over the image of `fs`): all transactions that are whole, in order, without the blocks
// that a later one revokes. Collects the fast commits that follow. Then the journal is empty: s_start is 0, s_sequence
// is behind what was replayed, s_errno is cleared. A journal on another device is left as it is.
// The file system's superblock is not touched but where the log holds it. Errors: the overlay cannot be staged.
[[nodiscard]] Result<void> replay_journal(Journal& journal, Overlay& overlay);

// The journal's superblock in the overlay, emptied as after a replay.
[[nodiscard]] Result<void> empty_journal(const Journal& journal, Overlay& overlay, uint32_t next_sequence);

// The tags of the fast commits that belong behind transaction `sequence` - 1, into journal.fast_commits; those behind
// the last valid tail are left out.
void scan_fast_commits(Journal& journal, uint32_t sequence);

}  // namespace extscrub
