// One commit in hand: its steps, in the order commit_on() calls them, and what it knows of them. After a step that
// returns false no other step is taken, only settle().
// For one thread; the error worker joins in when nothing else runs any more.
#pragma once

#include <optional>
#include <vector>

#include "writeback/commit/async_writer.h"
#include "writeback/commit/commit.h"
#include "writeback/commit/journal_transaction.h"
#include "writeback/commit/memory_truth.h"
#include "writeback/device/read_ahead.h"
#include "writeback/mark/error_worker.h"
#include "writeback/undo_log/undo_log.h"

namespace extscrub {

class CommitRun final : WriteClient {
 public:
  // All must outlive the run. Nothing is read or written yet.
  CommitRun(const CommitRequest& request, WriteDevice& device, WriteQueue& queue, CommitReport& report);
  CommitRun(const CommitRun&) = delete;
  CommitRun& operator=(const CommitRun&) = delete;

  // Reads what the commit will write over, compares it with the before-images, sets up everything that could fail for
  // want of memory or threads. False: refused, or nothing to do; the report says which, the image is untouched.
  [[nodiscard]] bool prepare();

  // Where one is asked for, the undo log is complete and durable when this returns true. False: refused or cancelled,
  // the log is removed, the image untouched.
  [[nodiscard]] bool save_old_bytes();

  // The last look before the first write: the image still has the size that it was opened with. False: refused, the log is
  // removed, the image untouched.
  [[nodiscard]] bool look_again();

  // Where there is multiple-mount protection: its block says that the file system is being checked.
  [[nodiscard]] bool claim_mmp();

  [[nodiscard]] bool arm();
  // Where the commit goes through the journal: when this returns true, the journal has all of it.
  [[nodiscard]] bool write_log();
  // Wave after wave: when this returns true, all blocks are durable and have been read back.
  [[nodiscard]] bool write_blocks();
  [[nodiscard]] bool finish();

  // Something failed that no step has seen (out of memory).
  void fail(int error, CommitStep step, std::optional<BlockNo> block = std::nullopt);

  // Nothing is in flight any more: waits for the error mark if one is due, and completes the report.
  void settle();

 private:
  // What a block of the commit is: goes to its place in a piece, in one of three waves, or by itself, or into the log.
  enum class Role : uint8_t { fresh, pointers, last, held, log };
  static constexpr bool is_in_place(Role role) { return role <= Role::last; }

  // Pieces that go out together.
  struct Wave {
    Role role;
    std::vector<Piece> pieces;
  };

  // Preparing; each refuses by itself.
  bool check_request();
  bool choose_journal();
  bool make_log();
  void order_blocks();
  void plan_writes();
  void find_held_blocks();
  bool read_before_images();
  bool read_before(std::vector<Piece>& pieces);
  bool take_before(size_t first, Extent read_extent, Bytes read_bytes);
  bool compare_before(size_t index, Extent read_extent, Bytes read_bytes);
  bool refuse_changed(BlockNo block);
  bool read_held(HeldRange& range);
  HeldRange held_range(BlockNo block, Extent extent) const;
  bool refuse(std::string message, int error = 0);
  bool refuse_read(int error, Extent extent);
  void make_receipts();
  bool cancel_untouched();
  bool refuse_resized(uint64_t before, uint64_t now);
  // Fails when the image no longer has the size that it was opened with.
  bool kept_size();

  // The block of multiple-mount protection.
  bool hold_mmp();
  bool mmp_is_as_seen();
  bool release_mmp();
  void release_mmp_after_failure() noexcept;

  // Of save_old_bytes().
  [[nodiscard]] std::vector<Extent> extents_to_save() const;
  bool save_extent(UndoLogWriter& log, const ReadAhead::Part& part);
  [[nodiscard]] std::vector<uint64_t> hashes_after(Extent extent, Bytes old_bytes) const;
  bool seal_undo_log(UndoLogWriter& log);
  bool refuse_undo_log(const std::string& why, int error);

  // The image's superblock has RECOVER, and the journal's superblock is at hand.
  [[nodiscard]] bool replay_due();

  // The steps' parts; each fails by itself.
  bool write_pieces(const Wave& wave, std::string_view phase);
  bool write_some(const std::vector<Piece>& pieces, bool second);
  bool write_unaligned_pieces(const std::vector<Piece>& pieces);
  bool pieces_read_back(const Wave& wave, std::string_view phase);
  // Something is waited for as long as it lives.
  class Waiting {
   public:
    Waiting(WaitObserver* observer, std::string_view what) : observer_(observer) {
      if (observer_ != nullptr) observer_->begin_wait(what);
    }
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;
    ~Waiting() {
      if (observer_ != nullptr) observer_->end_wait();
    }

   private:
    WaitObserver* observer_;
  };

  void begin_phase(std::string_view phase, const std::vector<Piece>& pieces);
  bool write_held(HeldRange& range, CommitStep step);
  bool check_held(HeldRange& range, CommitStep step);
  bool flush(CommitStep step);
  ReadAhead::Part next_read();
  bool piece_reads_back(const Piece& piece, const ReadAhead::Part& part);
  bool write_durably(HeldRange& range, CommitStep step);
  Bytes journal_when_done() const;
  void release(const Piece& piece, MutableBytes out);
  // The blocks that the piece carries; those between them go another way.
  template <class Each>
  void for_each_block(const Piece& piece, Each&& each) const {
    for (size_t i = piece.first; i < piece.first + piece.count; ++i)
      if (roles_[i] == role_) each(i);
  }
  bool stop_if_cancelled();
  void finish_receipt(const HeldRange& range);
  void add_superblock_receipt(HeldRange& range, int error);

  // The error worker's.
  void write_mark(const FailureSummary& failures) noexcept;
  bool put_mark();
  bool mark_part(HeldRange& range);
  int put_held(HeldRange& range);
  int held_reads_back(HeldRange& range);
  int flush_device();
  void write_mark_beside(const FailureSummary& failures);

  // WriteClient
  void compose(size_t job, MutableBytes out) override;
  void finished(size_t job, int error) override;
  BlockNo block_at(size_t job, size_t done) const override;
  bool cancelled() const override;

  void piece_finished(const Piece& piece, int error);
  BlockNo block_in(const Piece& piece, size_t done) const;
  BlockNo block_of_byte(uint64_t at) const;
  std::string what_is_left() const;
  std::string failure_message(const FailureSummary& failures) const;

  const CommitRequest& request_;
  WriteDevice& device_;
  WriteQueue& queue_;
  CommitReport& report_;
  ImageShape shape_;
  // All blocks the commit writes, by number: the request's, and those of the log.
  std::vector<StagedBlock> blocks_;
  std::vector<Role> roles_;
  std::optional<MemoryTruth> truth_;
  HeldRange superblock_;
  std::optional<HeldRange> journal_;  // the journal's superblock, where it has to be written
  std::vector<std::byte> journal_before_;
  std::optional<HeldRange> mmp_;  // the block of multiple-mount protection, where there is one
  bool mmp_claimed_ = false;
  std::optional<JournalTransaction> transaction_;
  std::vector<std::byte> superblock_block_;  // the block with the primary superblock, for the transaction
  std::vector<Wave> waves_;  // in place, in order
  Wave log_{Role::log, {}};
  std::vector<const Piece*> on_the_way_;  // the pieces that are being written, by job
  Role role_ = Role::last;            // of the blocks they carry
  AlignedBuffer scratch_, expected_;  // of the longest piece
  std::optional<UndoFile> undo_file_;
  bool offered_ = false;  // what the journal's superblock is to say: the log begins with the transaction
  bool in_place_ = false;  // every block is durable and has been read back
  bool stopped_ = false;  // cancelled
  bool marking_ = false;  // the error worker writes
  std::string sidecar_error_;
  ErrorLatch latch_;
  std::optional<ReadAhead> reads_;
  std::optional<AsyncWriter> writer_;
  std::optional<ErrorWorker> worker_;  // last, so that it goes first: it uses all of the above
};

// commit() on a device and a queue that are there already; tests put in ones that fail.
[[nodiscard]] CommitReport commit_on(const CommitRequest& request, WriteDevice& device, WriteQueue& queue);

}  // namespace extscrub
