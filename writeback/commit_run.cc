#include "writeback/commit_run.h"

#include <algorithm>
#include <cerrno>

#include "writeback/error_mark.h"

namespace extscrub {

// From here on the image says "not clean", whatever happens.
bool CommitRun::arm() {
  // A superblock that is damaged itself is no ground to stand on: sealing it would hide that.
  if (!is_sound_superblock(superblock_.superblock()))
    std::ranges::copy(request_.final_superblock, superblock_.bytes.begin());
  arm_superblock(superblock_.superblock());
  const bool journal_too = replay_due();
  if (journal_too) set_journal_error(journal_->superblock());

  report_.armed = write_held(superblock_, CommitStep::arm) &&
                  (!journal_too || write_held(*journal_, CommitStep::arm)) && flush(CommitStep::arm) &&
                  check_held(superblock_, CommitStep::arm) && (!journal_too || check_held(*journal_, CommitStep::arm));
  return report_.armed;
}

bool CommitRun::write_blocks() {
  // The journal transaction has its place here, for an image with a healthy journal.
  uint64_t total = 0;
  for (const Piece& piece : pieces_) total += piece.extent.length;
  if (request_.progress != nullptr) request_.progress->phase("writing", total);
  if (stop_if_cancelled()) return false;
  const bool written = write_wave(false) && write_wave(true) && write_unaligned_pieces();
  if (latch_.set()) return false;
  return flush(CommitStep::flush) && written;
}

bool CommitRun::write_wave(bool second) {
  wave_.clear();
  std::vector<WriteJob> jobs;
  for (size_t i = 0; i < pieces_.size(); ++i) {
    const Piece& piece = pieces_[i];
    if (piece.second_wave != second || !shape_.aligned(piece.extent)) continue;
    wave_.push_back(i);
    jobs.push_back({piece.extent.at, static_cast<uint32_t>(piece.extent.length)});
  }
  const uint64_t before = writer_->submissions();
  const bool written = writer_->write(jobs, *this);
  report_.writes += writer_->submissions() - before;
  if (!written) (void)stop_if_cancelled();
  return written;
}

// The image's ends, where they lie inside a sector: these go through the page cache, which works with whole pages, so
// nothing else may be in flight.
bool CommitRun::write_unaligned_pieces() {
  for (const Piece& piece : pieces_) {
    if (shape_.aligned(piece.extent)) continue;
    if (latch_.set() || stop_if_cancelled()) return false;
    for (size_t i = piece.first; i < piece.first + piece.count; ++i)
      if (!held_blocks_[i]) truth_.release(i), report_.receipts[i].submitted = true;
    const MutableBytes out = expected_.first(piece.extent.length);
    truth_.compose(piece, out);
    ++report_.writes;
    const int error = write_fully(device_, piece.extent.at, out);
    if (error != 0) fail(error, CommitStep::write, request_.blocks[piece.first].block);
    piece_finished(piece, error);
    if (error != 0) return false;
  }
  return true;
}

bool CommitRun::read_back() {
  uint64_t total = 0;
  for (const Piece& piece : pieces_) total += piece.extent.length;
  if (request_.progress != nullptr) request_.progress->phase("reading back", total);
  for (const Piece& piece : pieces_) {
    if (stop_if_cancelled() || !piece_reads_back(piece)) return false;
    if (request_.progress != nullptr) request_.progress->advance(piece.extent.length);
  }
  return !stop_if_cancelled();
}

bool CommitRun::piece_reads_back(const Piece& piece) {
  const MutableBytes is = scratch_.first(piece.extent.length), should = expected_.first(piece.extent.length);
  if (const int error = read_fully(device_, piece.extent.at, is)) {
    fail(error, CommitStep::read_back, block_of_byte(piece.extent.at));
    return false;
  }
  truth_.compose(piece, should);
  const auto [wrong, right] = std::ranges::mismatch(is, should);
  if (wrong != is.end()) {
    fail(EIO, CommitStep::read_back, block_of_byte(piece.extent.at + static_cast<uint64_t>(wrong - is.begin())));
    return false;
  }
  for (size_t i = piece.first; i < piece.first + piece.count; ++i)
    if (!held_blocks_[i]) report_.receipts[i].read_back = true;
  return true;
}

// All blocks are on the device, and proven to be: now, and only now, the image may say so.
bool CommitRun::finish() {
  std::ranges::copy(request_.final_superblock, superblock_.bytes.begin());
  arm_superblock(superblock_.superblock());
  if (journal_) {
    std::ranges::copy(journal_before_, journal_->bytes.begin());
    const auto it = std::ranges::find(request_.blocks, journal_->block, &StagedBlock::block);
    if (it != request_.blocks.end())
      std::ranges::copy(it->after.first(journal_->bytes.size()), journal_->bytes.begin());
    if (!write_held(*journal_, CommitStep::finish)) return false;
  }
  if (!write_held(superblock_, CommitStep::finish) || !flush(CommitStep::finish)) return false;

  // The valid bit is still missing, or an undo has an unsound superblock to put back as it was.
  if (!std::ranges::equal(superblock_.bytes, request_.final_superblock)) {
    std::ranges::copy(request_.final_superblock, superblock_.bytes.begin());
    if (!write_held(superblock_, CommitStep::finish) || !flush(CommitStep::finish)) return false;
  }
  if (!check_held(superblock_, CommitStep::finish)) return false;
  finish_receipt(superblock_.block);
  if (!journal_) return true;
  if (!check_held(*journal_, CommitStep::finish)) return false;
  finish_receipt(journal_->block);
  return true;
}

void CommitRun::finish_receipt(BlockNo block) {
  for (size_t i = 0; i < report_.receipts.size(); ++i) {
    Receipt& receipt = report_.receipts[i];
    if (receipt.block != block || !held_blocks_[i]) continue;
    receipt.submitted = receipt.completed = receipt.read_back = true;
    ++report_.blocks_written;
  }
}

bool CommitRun::replay_due() {
  return journal_ && needs_recovery(superblock_.superblock()) && is_journal_superblock(journal_->superblock());
}

void CommitRun::fail(int error, CommitStep step, std::optional<BlockNo> block) {
  latch_.record({error, step, block});
}

// Sets stopped_ when the run is to stop: the image stays armed. True then.
bool CommitRun::stop_if_cancelled() {
  if (!latch_.set() && cancelled()) stopped_ = true;
  return stopped_;
}

bool CommitRun::write_held(HeldRange& range, CommitStep step) {
  if (latch_.set()) return false;
  const int error = put_held(range);
  if (error != 0) fail(error, step, range.block);
  return error == 0;
}

bool CommitRun::check_held(HeldRange& range, CommitStep step) {
  const int error = held_reads_back(range);
  if (error != 0) fail(error, step, range.block);
  return error == 0;
}

// A failed flush has lost something and does not say what; the kernel reports it once, so a second one proves nothing.
bool CommitRun::flush(CommitStep step) {
  const int error = flush_device();
  if (error != 0) fail(error, step);
  return error == 0;
}

int CommitRun::put_held(HeldRange& range) {
  const MutableBytes out = range.out.bytes();
  truth_.compose(range.piece, out);
  ++report_.writes;
  const int error = write_fully(device_, range.piece.extent.at, out);
  if (error == 0) report_.bytes_written += out.size();
  return error;
}

int CommitRun::held_reads_back(HeldRange& range) {
  const MutableBytes is = scratch_.first(range.extent.length);
  if (const int error = read_fully(device_, range.extent.at, is)) return error;
  return std::ranges::equal(is, range.truth()) ? 0 : EIO;
}

int CommitRun::flush_device() {
  ++report_.flushes;
  return device_.flush();
}

void CommitRun::settle() {
  worker_->settle();
  if (latch_.set()) {
    const FailureSummary failures = latch_.summary();
    report_.outcome = CommitOutcome::errored;
    report_.error = failures.first.error;
    report_.error_block = failures.first.block;
    report_.failures = failures.count;
    report_.message = failure_message(failures) + (request_.is_undo ? "; not all old bytes are back on the image. "
                                                                    : "; the repair is not on the image. ");
    if (report_.marked)
      report_.message += "The image is marked as having errors";
    else if (!report_.sidecar.empty())
      report_.message += "The image cannot be marked; " + report_.sidecar.string() + " says so in its place";
    else
      report_.message += "The image cannot be marked, nor a file put beside it (" + sidecar_error_ + ")";
    report_.message += ". Look at the device below it, then ";
    report_.message += request_.is_undo ? "undo again, on the image or a copy on sound storage"
                                        : "scrub the image, or a copy on sound storage, again";
  } else if (stopped_) {
    report_.outcome = CommitOutcome::cancelled;
    report_.message = request_.path.string() + ": stopped with part of the ";
    report_.message += request_.is_undo ? "old bytes written; the image says that it is not clean. Undo again"
                                        : "repair written; the image says that it is not clean. Scrub it again";
  } else {
    report_.outcome = CommitOutcome::committed;
  }
}

void CommitRun::compose(size_t job, MutableBytes out) {
  const Piece& piece = pieces_[wave_[job]];
  for (size_t i = piece.first; i < piece.first + piece.count; ++i) {
    if (held_blocks_[i]) continue;
    truth_.release(i);
    report_.receipts[i].submitted = true;
  }
  truth_.compose(piece, out);
}

void CommitRun::finished(size_t job, int error) {
  piece_finished(pieces_[wave_[job]], error);
}

void CommitRun::piece_finished(const Piece& piece, int error) {
  for (size_t i = piece.first; i < piece.first + piece.count; ++i) {
    if (held_blocks_[i]) continue;
    report_.receipts[i].completed = error == 0;
    report_.receipts[i].error = error;
    if (error == 0) ++report_.blocks_written;
  }
  if (error != 0) return;
  report_.bytes_written += piece.extent.length;
  if (request_.progress != nullptr) request_.progress->advance(piece.extent.length);
}

// The staged block there; in a gap between two, the one behind it.
BlockNo CommitRun::block_at(size_t job, size_t done) const {
  const Piece& piece = pieces_[wave_[job]];
  const size_t i = truth_.first_at(piece.extent.at + done);
  return request_.blocks[std::clamp(i, piece.first, piece.first + piece.count - 1)].block;
}

BlockNo CommitRun::block_of_byte(uint64_t at) const {
  return BlockNo((at - shape_.image.at) / request_.block_size);
}

bool CommitRun::cancelled() const {
  return request_.progress != nullptr && request_.progress->cancelled();
}

}  // namespace extscrub
