#include "writeback/commit/set_writer.h"

#include <algorithm>
#include <cerrno>

namespace extscrub {

SetWriter::SetWriter(Prepared& prepared, Medium& medium, WriteQueue& queue)
    : prepared_(prepared), request_(prepared.request), medium_(medium),
      writer_(queue, medium.latch(), prepared.shape.alignment, prepared.scratch.size()) {}

bool SetWriter::write(WriteSet& set, std::string_view phase) {
  set_ = &set;
  begin_phase(phase);
  if (stop_if_cancelled()) return false;
  return write_some(false) && write_some(true) && write_unaligned();
}

bool SetWriter::write_some(bool second) {
  jobs_.clear();
  std::vector<WriteJob> jobs;
  for (const Piece& piece : set_->pieces()) {
    if (piece.second_wave != second || !prepared_.shape.aligned(piece.extent)) continue;
    jobs_.push_back(&piece);
    jobs.push_back({piece.extent.at, static_cast<uint32_t>(piece.extent.length)});
  }
  const uint64_t before = writer_.submissions();
  const Waiting waiting(request_.waits, kWaitForWrite);
  const bool written = writer_.write(jobs, *this);
  medium_.report().writes += writer_.submissions() - before;
  if (!written) (void)stop_if_cancelled();
  return written;
}

// The image's ends, where they lie inside a sector: these go through the page cache, which works with whole pages, so
// nothing else may be in flight.
bool SetWriter::write_unaligned() {
  for (const Piece& piece : set_->pieces()) {
    if (prepared_.shape.aligned(piece.extent)) continue;
    if (stop_if_cancelled()) return false;
    if (!medium_.kept_size()) return false;  // a write behind the end would give the image its size back
    const MutableBytes out = prepared_.expected.first(piece.extent.length);
    release(piece, out);
    const int error = medium_.write(piece.extent.at, out);
    if (error != 0) medium_.fail(error, CommitStep::write, block_in(piece, 0));
    piece_finished(piece, error);
    if (error != 0) return false;
  }
  return true;
}

bool SetWriter::reads_back(WriteSet& set, std::string_view phase) {
  set_ = &set;
  begin_phase(phase);
  prepared_.reads->begin(extents_of(set.pieces()));
  for (const Piece& piece : set.pieces()) {
    if (stop_if_cancelled() || !piece_reads_back(piece, next_read())) {
      prepared_.reads->begin({});  // nothing more is read of an image that has failed
      return false;
    }
    if (request_.progress != nullptr) request_.progress->advance(piece.extent.length);
  }
  return !stop_if_cancelled();
}

ReadAhead::Part SetWriter::next_read() {
  const Waiting waiting(request_.waits, kWaitForRead);
  return prepared_.reads->next();
}

bool SetWriter::piece_reads_back(const Piece& piece, const ReadAhead::Part& part) {
  const MutableBytes is = part.bytes, should = prepared_.expected.first(piece.extent.length);
  if (const int error = part.error) {
    medium_.fail(error, CommitStep::read_back, prepared_.block_of_byte(piece.extent.at));
    return false;
  }
  medium_.truth().compose(piece, should);
  const auto [wrong, right] = std::ranges::mismatch(is, should);
  if (wrong != is.end()) {
    const uint64_t at = piece.extent.at + static_cast<uint64_t>(wrong - is.begin());
    medium_.fail(EIO, CommitStep::read_back, prepared_.block_of_byte(at));
    return false;
  }
  for (CommitBlock& block : set_->blocks_of(piece)) block.receipt.read_back = true;
  return true;
}

void SetWriter::begin_phase(std::string_view phase) const {
  if (request_.progress == nullptr) return;
  uint64_t total = 0;
  for (const Piece& piece : set_->pieces()) total += piece.extent.length;
  request_.progress->phase(phase, total);
}

// True when the run is to stop.
bool SetWriter::stop_if_cancelled() {
  if (!medium_.failed() && request_.cancelled()) stopped_ = true;
  return stopped_;
}

// The piece's blocks go out now: composes what is written.
void SetWriter::release(const Piece& piece, MutableBytes out) {
  for (CommitBlock& block : set_->blocks_of(piece)) block.released = block.receipt.submitted = true;
  medium_.truth().compose(piece, out);
}

void SetWriter::compose(size_t job, MutableBytes out) {
  if (!medium_.kept_size()) return;  // the latch keeps it from being submitted
  release(*jobs_[job], out);
}

void SetWriter::finished(size_t job, int error) {
  piece_finished(*jobs_[job], error);
  if (request_.waits != nullptr) request_.waits->begin_wait(kWaitForWrite);
}

void SetWriter::piece_finished(const Piece& piece, int error) {
  for (CommitBlock& block : set_->blocks_of(piece)) {
    block.receipt.completed = error == 0;
    block.receipt.error = error;
    if (error == 0 && !set_->is_log()) ++medium_.report().blocks_written;
  }
  if (error != 0) return;
  medium_.report().bytes_written += piece.extent.length;
  if (request_.progress != nullptr) request_.progress->advance(piece.extent.length);
}

BlockNo SetWriter::block_at(size_t job, size_t done) const { return block_in(*jobs_[job], done); }

// The block at byte `done` of the piece; in a gap between two, the one behind it.
BlockNo SetWriter::block_in(const Piece& piece, size_t done) const {
  const size_t i = set_->first_at(piece.extent.at + done, prepared_.shape);
  return set_->blocks()[std::clamp(i, piece.first, piece.first + piece.count - 1)].bytes.block;
}

}  // namespace extscrub
