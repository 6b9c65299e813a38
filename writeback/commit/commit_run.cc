#include "writeback/commit/commit_run.h"

#include <algorithm>
#include <cerrno>
#include <ranges>

#include "writeback/mark/error_mark.h"
#include "writeback/undo_log/receipt_hash.h"

namespace extscrub {

namespace {

constexpr std::string_view kWrite = "a write", kRead = "a read";  // that are waited for

}  // namespace

// From here on the image says "not clean", whatever happens.
bool CommitRun::arm() {
  // A superblock that is damaged itself is no ground to stand on: sealing it would hide that.
  if (!is_sound_superblock(superblock_.superblock()))
    std::ranges::copy(request_.final_superblock, superblock_.bytes.begin());
  arm_superblock(superblock_.superblock());
  const bool journal_too = replay_due();
  if (journal_too) {
    // What the log holds must not be put over half of the old bytes.
    if (request_.is_undo) empty_log(journal_->superblock());
    set_journal_error(journal_->superblock());
  }

  report_.armed = write_held(superblock_, CommitStep::arm) &&
                  (!journal_too || write_held(*journal_, CommitStep::arm)) && flush(CommitStep::arm) &&
                  check_held(superblock_, CommitStep::arm) && (!journal_too || check_held(*journal_, CommitStep::arm));
  return report_.armed;
}

bool CommitRun::kept_size() {
  if (device_.size_now() == device_.size()) return true;
  fail(EIO, CommitStep::size);
  return false;
}

bool CommitRun::write_blocks() {
  for (const Wave& wave : waves_) {
    const bool written = write_pieces(wave, "writing");
    if (latch_.set() || !flush(CommitStep::flush) || !written || !pieces_read_back(wave, "reading back")) return false;
  }
  in_place_ = true;
  return true;
}

// Returns once nothing is in flight: true when all is written, though not durable yet.
bool CommitRun::write_pieces(const Wave& wave, std::string_view phase) {
  begin_phase(phase, wave.pieces);
  if (stop_if_cancelled()) return false;
  role_ = wave.role;
  return write_some(wave.pieces, false) && write_some(wave.pieces, true) && write_unaligned_pieces(wave.pieces);
}

bool CommitRun::write_some(const std::vector<Piece>& pieces, bool second) {
  on_the_way_.clear();
  std::vector<WriteJob> jobs;
  for (const Piece& piece : pieces) {
    if (piece.second_wave != second || !shape_.aligned(piece.extent)) continue;
    on_the_way_.push_back(&piece);
    jobs.push_back({piece.extent.at, static_cast<uint32_t>(piece.extent.length)});
  }
  const uint64_t before = writer_->submissions();
  const Waiting waiting(request_.waits, kWrite);
  const bool written = writer_->write(jobs, *this);
  report_.writes += writer_->submissions() - before;
  if (!written) (void)stop_if_cancelled();
  return written;
}

// The image's ends, where they lie inside a sector: these go through the page cache, which works with whole pages, so
// nothing else may be in flight.
bool CommitRun::write_unaligned_pieces(const std::vector<Piece>& pieces) {
  for (const Piece& piece : pieces) {
    if (shape_.aligned(piece.extent)) continue;
    if (stop_if_cancelled()) return false;
    if (!kept_size()) return false;  // a write behind the end would give the image its size back
    const MutableBytes out = expected_.first(piece.extent.length);
    release(piece, out);
    ++report_.writes;
    const Waiting waiting(request_.waits, kWrite);
    const int error = write_fully(device_, piece.extent.at, out);
    if (error != 0) fail(error, CommitStep::write, block_in(piece, 0));
    piece_finished(piece, error);
    if (error != 0) return false;
  }
  return true;
}

bool CommitRun::pieces_read_back(const Wave& wave, std::string_view phase) {
  begin_phase(phase, wave.pieces);
  role_ = wave.role;
  reads_->begin(extents_of(wave.pieces));
  for (const Piece& piece : wave.pieces) {
    if (stop_if_cancelled() || !piece_reads_back(piece, next_read())) {
      reads_->begin({});  // nothing more is read of an image that has failed
      return false;
    }
    if (request_.progress != nullptr) request_.progress->advance(piece.extent.length);
  }
  return !stop_if_cancelled();
}

ReadAhead::Part CommitRun::next_read() {
  const Waiting waiting(request_.waits, kRead);
  return reads_->next();
}

bool CommitRun::piece_reads_back(const Piece& piece, const ReadAhead::Part& part) {
  const MutableBytes is = part.bytes, should = expected_.first(piece.extent.length);
  if (const int error = part.error) {
    fail(error, CommitStep::read_back, block_of_byte(piece.extent.at));
    return false;
  }
  truth_->compose(piece, should);
  const auto [wrong, right] = std::ranges::mismatch(is, should);
  if (wrong != is.end()) {
    fail(EIO, CommitStep::read_back, block_of_byte(piece.extent.at + static_cast<uint64_t>(wrong - is.begin())));
    return false;
  }
  for_each_block(piece, [this](size_t i) { report_.receipts[i].read_back = true; });
  return true;
}

// All blocks are on the device, and proven to be: now, and only now, the image may say so.
bool CommitRun::finish() {
  if (!kept_size() || (mmp_ && !check_held(*mmp_, CommitStep::mmp))) return false;
  if (journal_) {
    const Bytes done = journal_when_done();
    std::ranges::copy(done, journal_->bytes.begin());
    offered_ = report_.logged = false;  // whether it still is cannot be told until the write is over
    // Before the superblock says that there is nothing to recover: a log that is not empty would be in the way then.
    if (!write_durably(*journal_, CommitStep::finish)) return false;
    finish_receipt(*journal_);
  }
  std::ranges::copy(request_.final_superblock, superblock_.bytes.begin());
  arm_superblock(superblock_.superblock());
  if (!write_durably(superblock_, CommitStep::finish)) return false;

  // The valid bit is still missing, or an undo has an unsound superblock to put back as it was.
  if (!std::ranges::equal(superblock_.bytes, request_.final_superblock)) {
    std::ranges::copy(request_.final_superblock, superblock_.bytes.begin());
    if (!write_durably(superblock_, CommitStep::finish)) return false;
  }
  finish_receipt(superblock_);
  return kept_size() && release_mmp();
}

// What is staged for it; else what it was.
Bytes CommitRun::journal_when_done() const {
  const auto it = std::ranges::find(request_.blocks, journal_->block, &StagedBlock::block);
  if (it == request_.blocks.end()) return journal_before_;
  return it->after.first(journal_->bytes.size());
}

void CommitRun::finish_receipt(const HeldRange& range) {
  for (size_t i = 0; i < blocks_.size(); ++i) {
    if (blocks_[i].block != range.block || roles_[i] != Role::held) continue;
    Receipt& receipt = report_.receipts[i];
    receipt.submitted = receipt.completed = receipt.read_back = true;
    receipt.flush = report_.flushes;
    ++report_.blocks_written;
  }
}

bool CommitRun::replay_due() {
  return journal_ && needs_recovery(superblock_.superblock()) && is_sound_journal_superblock(journal_->superblock());
}

void CommitRun::fail(int error, CommitStep step, std::optional<BlockNo> block) {
  latch_.record({error, step, block});
}

// Sets stopped_ when the run is to stop: the image stays armed. True then.
bool CommitRun::stop_if_cancelled() {
  if (!latch_.set() && cancelled()) stopped_ = true;
  return stopped_;
}

bool CommitRun::write_durably(HeldRange& range, CommitStep step) {
  return write_held(range, step) && flush(step) && check_held(range, step);
}

// What is there already is not written again: a write that lands elsewhere could not be seen then.
bool CommitRun::write_held(HeldRange& range, CommitStep step) {
  if (latch_.set()) return false;
  const bool is_mmp = mmp_ && &range == &*mmp_;
  if (!is_mmp && range.written_hash == receipt_hash(range.truth())) return true;
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
  if (range.piece.extent.end() > device_.size_now()) return EIO;  // it would be a file of its own
  const MutableBytes out = range.out.bytes();
  truth_->compose(range.piece, out);
  ++report_.writes;
  const Waiting waiting(request_.waits, kWrite);
  const int error = write_fully(device_, range.piece.extent.at, out);
  if (error == 0) report_.bytes_written += out.size();
  add_superblock_receipt(range, error);
  return error;
}

void CommitRun::add_superblock_receipt(HeldRange& range, int error) {
  if (mmp_ && &range == &*mmp_) return;  // it is no superblock
  Receipt receipt;
  receipt.block = range.block;
  receipt.kind = marking_                ? BufferKind::mark
                 : &range == &superblock_ ? BufferKind::superblock
                                          : BufferKind::journal_superblock;
  receipt.before_hash = range.written_hash;
  receipt.after_hash = range.written_hash = receipt_hash(range.truth());
  receipt.submitted = true;
  receipt.completed = error == 0;
  receipt.error = error;
  report_.superblock_receipts.push_back(receipt);
}

int CommitRun::held_reads_back(HeldRange& range) {
  const MutableBytes is = scratch_.first(range.extent.length);
  const Waiting waiting(request_.waits, kRead);
  if (const int error = read_fully(device_, range.extent.at, is)) return error;
  if (!std::ranges::equal(is, range.truth())) return EIO;
  for (Receipt& receipt : std::views::reverse(report_.superblock_receipts)) {
    if (receipt.block != range.block) continue;
    receipt.read_back = true;
    break;
  }
  return 0;
}

int CommitRun::flush_device() {
  ++report_.flushes;
  const Waiting waiting(request_.waits, "a flush");
  const int error = device_.flush();
  // What was complete by now is durable, or it is not known whether it is, and no later flush tells.
  for (auto* receipts : {&report_.receipts, &report_.superblock_receipts})
    for (Receipt& receipt : *receipts) {
      if (!receipt.completed || receipt.flush != 0 || receipt.error != 0) continue;
      receipt.error = error;
      if (error == 0) receipt.flush = report_.flushes;
    }
  return error;
}

void CommitRun::settle() {
  worker_->settle();
  release_mmp_after_failure();
  if (latch_.set()) {
    const FailureSummary failures = latch_.summary();
    report_.outcome = CommitOutcome::errored;
    report_.error = failures.first.error;
    report_.error_block = failures.first.block;
    report_.failures = failures.count;
    report_.message = failure_message(failures) + "; " + what_is_left() + ". ";
    if (report_.marked && report_.sidecar.empty() && sidecar_error_.empty())
      report_.message += "The image is marked as having errors";
    else if (report_.marked)
      report_.message += "The superblock is marked as having errors, but the journal cannot be, and its replay may put an "
                         "older superblock over the mark; " +
                         (report_.sidecar.empty() ? "no file can be put beside the image to say so (" + sidecar_error_ + ")"
                                                  : report_.sidecar.string() + " says so as well");
    else if (!report_.sidecar.empty())
      report_.message += "The image cannot be marked; " + report_.sidecar.string() + " says so in its place";
    else
      report_.message += "The image cannot be marked, nor a file put beside it (" + sidecar_error_ + ")";
    report_.message += ". Look at the device below it, then ";
    report_.message += request_.is_undo ? "undo again, on the image or a copy on sound storage"
                                        : "scrub the image, or a copy on sound storage, again";
  } else if (stopped_) {
    report_.outcome = CommitOutcome::cancelled;
    report_.message = request_.path.string() + ": stopped before the end; " + what_is_left() +
                      "; the image says that it is not clean. " + (request_.is_undo ? "Undo" : "Scrub it") + " again";
  } else {
    report_.outcome = CommitOutcome::committed;
  }
}

void CommitRun::begin_phase(std::string_view phase, const std::vector<Piece>& pieces) {
  if (request_.progress == nullptr) return;
  uint64_t total = 0;
  for (const Piece& piece : pieces) total += piece.extent.length;
  request_.progress->phase(phase, total);
}

// The piece's blocks go out now: composes what is written.
void CommitRun::release(const Piece& piece, MutableBytes out) {
  for_each_block(piece, [this](size_t i) {
    truth_->release(i);
    report_.receipts[i].submitted = true;
  });
  truth_->compose(piece, out);
}

std::string CommitRun::what_is_left() const {
  if (request_.is_undo) return "not all old bytes are back on the image";
  if (in_place_) return "the whole repair is on the image, but for the superblock that says so";
  if (report_.logged) return "the whole repair waits in the image's journal, and the next mount or scrub completes it";
  if (transaction_) return "the repair is not on the image, which is as it was but for that";
  return "the repair is not on the image, or only in part";
}

void CommitRun::compose(size_t job, MutableBytes out) {
  if (!kept_size()) return;  // the latch keeps it from being submitted
  release(*on_the_way_[job], out);
}

void CommitRun::finished(size_t job, int error) {
  piece_finished(*on_the_way_[job], error);
  if (request_.waits != nullptr) request_.waits->begin_wait(kWrite);
}

void CommitRun::piece_finished(const Piece& piece, int error) {
  for_each_block(piece, [&](size_t i) {
    report_.receipts[i].completed = error == 0;
    report_.receipts[i].error = error;
    if (error == 0 && is_in_place(role_)) ++report_.blocks_written;
  });
  if (error != 0) return;
  report_.bytes_written += piece.extent.length;
  if (request_.progress != nullptr) request_.progress->advance(piece.extent.length);
}

// The staged block there; in a gap between two, the one behind it.
BlockNo CommitRun::block_at(size_t job, size_t done) const {
  return block_in(*on_the_way_[job], done);
}

BlockNo CommitRun::block_in(const Piece& piece, size_t done) const {
  const size_t i = truth_->first_at(piece.extent.at + done);
  return blocks_[std::clamp(i, piece.first, piece.first + piece.count - 1)].block;
}

BlockNo CommitRun::block_of_byte(uint64_t at) const {
  return BlockNo((at - shape_.image.at) / request_.block_size);
}

bool CommitRun::cancelled() const {
  return request_.progress != nullptr && request_.progress->cancelled();
}

}  // namespace extscrub
