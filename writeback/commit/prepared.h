// A commit that may begin: what goes out, in which writes, and what was there before; nothing of it is written yet.
// For one thread at a time.
#pragma once

#include <expected>
#include <memory>
#include <optional>
#include <vector>

#include "writeback/commit/commit_request.h"
#include "writeback/commit/held_block.h"
#include "writeback/commit/journal_transaction.h"
#include "writeback/device/read_ahead.h"

namespace extscrub {

// The transaction that has all blocks, and where it gets the block with the superblock from.
struct PreparedLog {
  std::vector<std::byte> superblock_block;  // as the transaction has it
  JournalTransaction transaction;
};

struct Prepared {
  const CommitRequest& request;  // outlives it
  ImageShape shape;
  std::vector<WriteSet> waves{};  // in place, each durable before the next begins
  WriteSet log{BufferKind::log};  // empty where the commit does not go through the journal
  HeldBlock superblock;
  std::optional<HeldBlock> journal{};  // the journal's superblock, where it has to be written
  std::optional<HeldBlock> mmp{};      // the block of multiple-mount protection, where there is one
  std::vector<std::byte> journal_before{};
  std::optional<PreparedLog> through{};  // the journal; nothing: in place only
  AlignedBuffer scratch{}, expected{};   // of the longest piece
  std::unique_ptr<ReadAhead> reads{};
  std::optional<UndoFile> undo_file{};

  // The image's superblock has RECOVER, and the journal's superblock is at hand.
  [[nodiscard]] bool replay_due();

  [[nodiscard]] BlockNo block_of_byte(uint64_t at) const { return BlockNo((at - shape.image.at) / request.block_size); }

  template <class Each>
  void for_each_set(Each&& each) {
    for (WriteSet& wave : waves) each(wave);
    each(log);
  }
  template <class Each>
  void for_each_held(Each&& each) {
    each(superblock);
    if (journal) each(*journal);
    if (mmp) each(*mmp);
  }
  // All that have a receipt.
  template <class Each>
  void for_each_block(Each&& each) {
    for_each_set([&](WriteSet& set) {
      for (CommitBlock& block : set.blocks()) each(block);
    });
    for_each_held([&](HeldBlock& held) {
      if (held.staged) each(*held.staged);
    });
  }
  // By block number.
  [[nodiscard]] std::vector<Receipt> receipts();
};

using Checked = std::expected<void, Refusal>;

// Reads what the commit will write over, compares it with the before-images, and gets all buffers; the first reason not
// to begin is the refusal. What is known by then is in the report, refused or not. Throws std::bad_alloc.
[[nodiscard]] std::expected<Prepared, Refusal> prepare(const CommitRequest& request, WriteDevice& device, CommitReport& report);

// Where an undo log is asked for, it is complete and durable then; otherwise it is removed.
[[nodiscard]] Checked save_old_bytes(Prepared& prepared, CommitReport& report);

// The last look before the first write: the image still has the size that it was opened with, and nobody has come.
// Otherwise the undo log is removed.
[[nodiscard]] Checked look_again(Prepared& prepared, WriteDevice& device, CommitReport& report);

}  // namespace extscrub
