// What an audit is asked and what it answers, and the same of a plan of repairs. Plain values.
#pragma once

#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "audit/catalogue/finding_list.h"
#include "audit/recover/recovery.h"
#include "scan/image/overlay.h"
#include "scan/image/progress.h"
#include "scan/image/write_wave.h"
#include "scan/inodes/data_scan.h"
#include "scan/journal/journal_space.h"

namespace extscrub {

enum class Verdict : uint8_t {
  clean,
  recoverable,  // a journal to replay or orphans to release, nothing else
  repaired,     // was damaged; the repair is written and proven
  damaged,
  errored,     // a write failed; the image is marked
  unreadable,  // could not be audited at all
  not_audited,  // is nothing to audit, or was not looked at, and the report says why
};

[[nodiscard]] std::string_view name(Verdict verdict);

struct AuditOptions {
  unsigned jobs = 0;                      // threads; 0 means as many as the machine has
  std::optional<uint64_t> superblock;     // --superblock: the block number of the superblock to go by
  std::optional<uint32_t> block_size;     // --block-size, bytes
  Progress* progress = nullptr;           // may be null
  std::optional<uint32_t> now;            // seconds since 1970, for repairs of fields that hold a time; default: the clock
  uint64_t overlay_memory = kDefaultOverlayMemory;  // bytes of staged blocks on the heap, before a file takes the rest
  bool replay = true;                     // look at the image as the next mount will find it (not: --no-replay)
  bool replay_unflagged = false;          // replay a log that the file system says is not needed
  bool drop_unflagged = false;            // --journal-replay=drop: no repair replays such a log
  const Image* journal = nullptr;         // --journal: the image of an external journal; may be null
  size_t max_findings = kUnlimited;       // of an audit: others are only counted
  bool data = false;                      // --data: read the contents of files too
  bool history = true;                    // hold the image against what the journal still has
  bool restore_lost = false;              // --restore-lost: of a scrub: put back writes too that may have been lost
  const UnreadableList* unreadable = nullptr;  // --bad-blocks, --ddrescue-map: instead of reading them; may be null
};

// What the image says of itself.
struct ImageInfo {
  std::string uuid, label;
  std::vector<std::string> features;  // names as in ext4(5), sorted by feature set and bit
  uint32_t block_size = 0;            // bytes
  uint32_t cluster_size = 0;          // bytes; block_size without bigalloc
  uint64_t blocks = 0;
  uint32_t inodes = 0;
  uint32_t groups = 0;
  uint32_t inode_size = 0;           // bytes
  uint32_t groups_per_desc_block = 0;  // whose descriptors lie in one block
  uint64_t superblock_block = 0;     // the block of the superblock that was gone by
};

// How far back the journal's history goes.
struct HistoryFacts {
  uint64_t transactions = 0;
  uint64_t since = 0;  // seconds since 1970: the commit of the first of them
  bool compared = false;  // the image was held against it; not where more is wrong than is kept in memory
};

struct AuditStatistics {
  uint64_t inodes_in_use = 0;
  uint64_t directories = 0;
  uint64_t blocks_in_use = 0;     // blocks, not clusters
  uint64_t bytes_read = 0;
  HistoryFacts history;           // what the image was held against
  std::chrono::duration<double> seconds{};
};

struct Audit {
  ImageInfo info;
  std::vector<Finding> findings;    // sorted
  std::vector<FindingCount> past;   // the findings past AuditOptions::max_findings, by code
  uint64_t without_path = 0;        // findings whose inode was not looked up, as there are too many of them
  Verdict verdict = Verdict::unreadable;  // clean, recoverable or damaged
  Recovery recovery;                      // what was replayed and released before the image was looked at
  AuditStatistics statistics;
};

enum class RepairPolicy : uint8_t { none, safe, all };

struct ByteRange {
  uint64_t first = 0, end = 0;  // bytes of the file
};

// Something of the user's that a repair lets go of, or puts elsewhere.
struct Loss {
  Problem problem{};       // because of which
  InodeNo inode;           // 0: none
  std::string path;        // of the inode, where one is known
  std::string what;        // "cleared", "cut", "moved to lost+found/#12" ...
  std::optional<ByteRange> bytes;
};

struct RepairPlan {
  Audit before;                      // the image as it is; its findings say what became of their repair
  Audit after;                       // the image under the overlay, as the last round proved it
  std::optional<Overlay> overlay;    // what to write; staged() is empty when there is nothing to do
  std::vector<WriteWave> waves;      // of each block to write, by block number: for a commit in place
  bool proven_clean = false;         // `after` is clean, so the final superblock says valid
  int rounds = 0;
  uint32_t time = 0;                 // seconds since 1970; what went into fields that hold a time
  std::vector<Loss> losses;          // what the repair lets go of
  // The block with the journal's superblock, where the journal lies in the image.
  std::optional<BlockNo> journal_superblock;
  // Whether all of this can go into that journal; nothing where nothing is staged.
  std::optional<JournalSpace> journal;
  // The primary superblock as it is to be when all is written (already in the overlay too): 1024 bytes.
  std::array<std::byte, kSuperblockSize> final_superblock{};
  // What the image has in that place, before anything else was read; nothing where it could not be.
  std::optional<std::array<std::byte, kSuperblockSize>> superblock;
};

}  // namespace extscrub
