// What became of a commit, in values. Words for a person, and what to do, are the command line's business.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "scan/format/error.h"
#include "writeback/device/write_queue.h"
#include "writeback/mark/failure.h"

namespace extscrub {

enum class CommitOutcome : uint8_t {
  nothing_to_do,  // not one byte written
  committed,      // all written, flushed, read back; the final superblock is in place
  refused,    // not one byte written: changed since it was read, cannot be opened for writing, no queue, no undo log
  cancelled,  // stopped on request; an image that was armed stays so (says "not clean")
  errored,    // a write, flush or read-back failed; the image is marked, or a sidecar says so
};

enum class UndoLogState : uint8_t {
  none,     // not asked for, or the commit did not get as far
  failed,   // it could not be made, or not made durable: nothing was written to the image
  removed,  // it was made, and the commit ended before the first write
  kept,     // complete and durable before the first write; it stays
};

// Why a commit ended before its first write.
enum class RefusalReason : uint8_t {
  nothing_to_do,           // the image has it all already
  cancelled,               // on request
  block_size,              // there are no blocks of `why` bytes
  ends_before_superblock,  // the image does
  block_behind_end,        // a staged `block`
  block_not_whole,         // a staged `block` is no block, or not behind the one before it
  no_order,                // waves are not of all blocks
  journal_behind_end,      // its superblock
  changed,                 // `block` is not what was audited
  resized,                 // from `size_before` to `size_now`
  unreadable,              // `block`
  no_undo_log,             // `why`
  no_way_through_journal,  // `why`, and no other way was allowed
  log_not_its_own,         // a block of the log is named twice, or is something else as well
  not_opened,              // `why`: the whole sentence
  no_queue,                // `why`
  no_memory,
  no_memory_or_thread,
  // Of an undo:
  log_unusable,    // `why`; or the image does not fit it
  log_unfinished,  // its writer did not come to the end
  not_expected,    // the image's superblock
  block_foreign,   // `block` has neither what the commit wrote nor what was there before
};

struct Refusal {
  RefusalReason reason{};
  int error = 0;                           // errno; 0 when the system was not asked
  std::optional<BlockNo> block = {};            // that it is about
  uint64_t size_before = 0, size_now = 0;  // bytes of the image
  Error why = {};                          // what was in the way, where something was
};

// What is on the image of what was to be written, when a commit did not come to its end.
enum class WhatIsLeft : uint8_t {
  unknown,
  in_part,      // or nothing
  as_it_was,    // but for the superblock that says "not clean"
  in_journal,   // all; a mount or a scrub completes it
  in_place,     // all, but for the superblock that says so
  not_durable,  // all, from before; it is not known whether it lasts
};

// What a buffer that was written is for.
enum class BufferKind : uint8_t { block, log, journal_superblock, superblock, mark };

// What became of one buffer.
struct Receipt {
  BlockNo block;
  uint64_t before_hash = 0, after_hash = 0;  // XXH3 of the whole block
  bool submitted = false, completed = false, read_back = false;
  int error = 0;       // errno of its completion, 0 when it was good
  uint64_t flush = 0;  // which flush of the commit made it durable, counted from 1; 0: none has
  BufferKind kind = BufferKind::block;
};

struct CommitReport {
  CommitOutcome outcome = CommitOutcome::refused;
  std::variant<std::monostate, Refusal, Failure>
      cause;  // why it did not come to its end; nothing where it did, or was stopped on its way
  WhatIsLeft left = WhatIsLeft::unknown;
  bool armed = false;             // the image said "not clean" before the first block went out
  bool marked = false;            // the error mark is on the image, flushed
  std::filesystem::path sidecar;  // where the mark is when the image could not take it
  std::string sidecar_error;      // why it is not there either; empty when it is, or need not be
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

  [[nodiscard]] const Refusal* refusal() const { return std::get_if<Refusal>(&cause); }
  [[nodiscard]] const Failure* failure() const { return std::get_if<Failure>(&cause); }
  [[nodiscard]] int error() const;  // errno of the first failure, or of the refusal
  [[nodiscard]] std::optional<BlockNo> error_block() const;
  [[nodiscard]] uint64_t failures() const { return failure() ? failure()->count : 0; }  // failed completions in all
};

// A commit that ended before its first write, and nothing else is to be told of it.
[[nodiscard]] CommitReport refused(Refusal refusal);

}  // namespace extscrub
