// The commit: staged blocks go to the image so that it never claims to be clean while it is damaged.
//   (lock held by the caller) → before-images compared → undo log written, durable → arm (valid bit cleared, flush)
//   → journal transaction (see below) → blocks, asynchronously, every completion checked → flush → read back, in place a
//   wave after the other → journal superblock → flush → final superblock still without its valid bit → flush → final superblock → flush → read back
// Where the image has a journal with room, all blocks go into one transaction first: log → flush → read back → the
// superblock says that recovery is needed → flush → the journal's superblock says where the log begins → flush. Until
// that last sector is there, the image is as it was; from then on whoever mounts it completes the repair.
// On the first failure: nothing more is submitted, what is in flight is waited for, the image is marked errored.
// The valid bit goes out by itself, so that even half of that write cannot say "clean" over an old half.
// One commit belongs to one caller; inside it runs a queue (io_uring or threads) and an error worker of its own.
#pragma once

#include <array>
#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "scan/image/overlay.h"
#include "scan/image/progress.h"
#include "scan/image/write_wave.h"
#include "scan/journal/journal_space.h"
#include "writeback/device/image_lock.h"
#include "writeback/device/mmp_guard.h"
#include "writeback/device/write_queue.h"
#include "writeback/mark/sidecar.h"
#include "writeback/undo_log/undo_file.h"

namespace extscrub {

// Told what a commit waits for, which may take for ever: in its thread, or in the error worker's while that waits for it.
class WaitObserver {
 public:
  virtual ~WaitObserver() = default;
  // Begins anew where something is waited for already.
  virtual void begin_wait(std::string_view what) = 0;
  virtual void end_wait() = 0;
};

enum class CommitWay : uint8_t {
  automatic,  // through the journal where that can be
  journal,    // refused where it cannot
  direct,
};

struct CommitRequest {
  std::filesystem::path path;
  uint64_t offset = 0;              // bytes from the start of the file to the file system
  uint32_t block_size = 0;          // bytes
  std::vector<StagedBlock> blocks;  // ascending by block number; may include the primary superblock's block
  std::vector<WriteWave> waves;     // of each of them, for a commit in place; empty: the order does not matter
  std::array<std::byte, kSuperblockSize> final_superblock{};  // sealed; what byte 1024 holds when all is done
  // The block with the journal's superblock, where the journal is inside the image. Needed when the image has RECOVER
  // set: a replay of the old journal over a half written repair would put an old superblock, valid bit and all, over
  // the armed one, so the journal is given an error (s_errno) that survives it. Its staged bytes go out last but one.
  std::optional<BlockNo> journal_superblock;
  CommitWay way = CommitWay::automatic;
  std::optional<JournalSpace> journal;  // the room in that journal; nothing: nobody has looked
  // Where the old bytes of all that the commit may write are put, before the first write. Nothing: nowhere.
  std::optional<UndoPlace> undo;
  bool is_undo = false;  // the blocks are the old bytes of an earlier commit: only messages are worded otherwise
  QueueKind queue = QueueKind::automatic;
  Progress* progress = nullptr;  // may be null; cancelled() is asked before each submission
  WaitObserver* waits = nullptr;  // may be null
  // Where the bytes of the image are, when that is not `path`, as for a virtual disk; messages and the sidecar keep to
  // `path`. Empty: there.
  std::filesystem::path opened = {};
  // What was audited: the file, how many bytes it had, and its primary superblock as it was read. Another one, or another
  // size, is refused. Nothing: nobody has kept it.
  std::optional<FileIdentity> file = {};
  std::optional<uint64_t> file_size = {};
  std::optional<std::array<std::byte, kSuperblockSize>> audited_superblock = {};
  // The block of multiple-mount protection, which says from before the first other write until behind the last one that
  // the file system is being checked. Nothing: there is none, or none to go by.
  std::optional<MmpClaim> mmp = {};
};

enum class CommitOutcome : uint8_t {
  nothing_to_do,  // not one byte written
  committed,      // all written, flushed, read back; the final superblock is in place
  refused,        // not one byte written: changed since it was read, cannot be opened for writing, no queue, no undo log
  cancelled,      // stopped on request; the image stays armed (says "not clean")
  errored,        // a write, flush or read-back failed; the image is marked, or a sidecar says so
};

enum class UndoLogState : uint8_t {
  none,     // not asked for, or the commit did not get as far
  failed,   // it could not be made, or not made durable: nothing was written to the image
  removed,  // it was made, and the commit ended before the first write
  kept,     // complete and durable before the first write; it stays
};

// What a buffer that was written is for.
enum class BufferKind : uint8_t { block, log, journal_superblock, superblock, mark };

// What became of one buffer.
struct Receipt {
  BlockNo block;
  uint64_t before_hash = 0, after_hash = 0;  // XXH3 of the whole block
  bool submitted = false, completed = false, read_back = false;
  int error = 0;      // errno of its completion, 0 when it was good
  uint64_t flush = 0; // which flush of the commit made it durable, counted from 1; 0: none has
  BufferKind kind = BufferKind::block;
};

// Which way a commit goes.
struct WayChoice {
  bool journal = false;
  std::string why_direct;  // in words; empty with `journal`
  std::vector<BlockNo> log;  // the blocks of the log that a transaction is going to take
};

struct CommitReport {
  CommitOutcome outcome = CommitOutcome::refused;
  std::string message;  // for a person: why, where, what to do; empty when committed
  int error = 0;        // errno of the first failure
  std::optional<BlockNo> error_block;
  uint64_t failures = 0;                   // failed completions in all
  bool armed = false;                      // the image said "not clean" before the first block went out
  bool marked = false;                     // the error mark is on the image, flushed
  std::filesystem::path sidecar;           // where the mark is when the image could not take it
  UndoLogState undo = UndoLogState::none;
  std::filesystem::path undo_file;         // set when kept
  uint64_t undo_bytes = 0;                 // of that file
  bool through_journal = false;            // one transaction had all blocks before the first went to its place
  std::string why_direct;                  // why not; empty when it did, or the commit did not get as far
  bool logged = false;                     // the journal has the whole repair now: a mount would complete it
  uint64_t log_blocks = 0;                 // of that transaction
  QueueKind queue = QueueKind::automatic;  // the one that was used
  bool direct_io = false;                  // O_DIRECT; otherwise O_DSYNC
  uint64_t blocks_written = 0, bytes_written = 0, writes = 0, flushes = 0;
  std::chrono::duration<double> seconds{};
  std::vector<Receipt> receipts;             // a buffer of a block each, by block number
  std::vector<Receipt> superblock_receipts;  // every write of a superblock, in order
};

// The way that a commit of this request would go. Reads nothing.
[[nodiscard]] WayChoice choose_way(const CommitRequest& request);

// `lock`: proof that this run alone works on the image.
[[nodiscard]] CommitReport commit(const CommitRequest& request, const ImageLock& lock);

}  // namespace extscrub
