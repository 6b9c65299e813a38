// The commit: staged blocks go to the image so that it never claims to be clean while it is damaged.
//   (lock held by the caller) → before-images compared → undo log written, durable → arm (valid bit cleared, flush)
//   → blocks, asynchronously, every completion checked → flush → read back → journal superblock, final superblock still without its valid bit → flush →
//   final superblock → flush → read back
// On the first failure: nothing more is submitted, what is in flight is waited for, the image is marked errored.
// The valid bit goes out by itself, so that even half of that write cannot say "clean" over an old half.
// One commit belongs to one caller; inside it runs a queue (io_uring or threads) and an error worker of its own.
#pragma once

#include <array>
#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "scan/overlay.h"
#include "scan/progress.h"
#include "writeback/image_lock.h"
#include "writeback/sidecar.h"
#include "writeback/undo_file.h"
#include "writeback/write_queue.h"

namespace extscrub {

struct CommitRequest {
  std::filesystem::path path;
  uint64_t offset = 0;              // bytes from the start of the file to the file system
  uint32_t block_size = 0;          // bytes
  std::vector<StagedBlock> blocks;  // ascending by block number; may include the primary superblock's block
  std::array<std::byte, kSuperblockSize> final_superblock{};  // sealed; what byte 1024 holds when all is done
  // The block with the journal's superblock, where the journal is inside the image. Needed when the image has RECOVER
  // set: a replay of the old journal over a half written repair would put an old superblock, valid bit and all, over
  // the armed one, so the journal is given an error (s_errno) that survives it. Its staged bytes go out last but one.
  std::optional<BlockNo> journal_superblock;
  // Where the old bytes of all that the commit may write are put, before the first write. Nothing: nowhere.
  std::optional<UndoPlace> undo;
  bool is_undo = false;  // the blocks are the old bytes of an earlier commit: only messages are worded otherwise
  QueueKind queue = QueueKind::automatic;
  Progress* progress = nullptr;  // may be null; cancelled() is asked before each submission
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

// What became of one buffer.
struct Receipt {
  BlockNo block;
  uint32_t before_crc = 0, after_crc = 0;  // crc32c of the whole block
  bool submitted = false, completed = false, read_back = false;
  int error = 0;  // errno of its completion, 0 when it was good
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
  QueueKind queue = QueueKind::automatic;  // the one that was used
  bool direct_io = false;                  // O_DIRECT; otherwise O_DSYNC
  uint64_t blocks_written = 0, bytes_written = 0, writes = 0, flushes = 0;
  std::chrono::duration<double> seconds{};
  std::vector<Receipt> receipts;
};

// `lock`: proof that this run alone works on the image.
[[nodiscard]] CommitReport commit(const CommitRequest& request, const ImageLock& lock);

}  // namespace extscrub
