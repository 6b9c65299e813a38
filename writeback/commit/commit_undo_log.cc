// The part of a commit that saves what it is going to write over: the undo log, complete and durable before the first
// write to the image.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "writeback/commit/commit_run.h"
#include "writeback/undo_log/receipt_hash.h"

namespace extscrub {

bool CommitRun::save_old_bytes() {
  if (!request_.undo) return true;
  report_.undo = UndoLogState::failed;
  auto file = UndoFile::create(*request_.undo);
  if (!file) return refuse_undo_log(file.error().message, file.error().code);
  undo_file_.emplace(std::move(*file));

  const std::vector<Extent> extents = extents_to_save();
  uint64_t total = 0;
  for (const Extent& extent : extents) total += extent.length;
  if (request_.progress != nullptr) request_.progress->phase("saving old bytes", total);
  UndoLogWriter log(*undo_file_, request_.block_size, request_.offset);
  reads_->begin(extents);
  const bool saved = std::ranges::all_of(extents, [&](Extent) { return save_extent(log, reads_->next()); });
  if (!saved || !seal_undo_log(log)) {
    undo_file_.reset();
    return false;
  }
  report_.undo = UndoLogState::kept;
  report_.undo_file = undo_file_->path();
  report_.undo_bytes = log.bytes();
  return true;
}

// Every piece with the sectors it is widened to, the superblock and the journal's superblock, in whole blocks: merged,
// and cut into parts that a buffer takes.
std::vector<Extent> CommitRun::extents_to_save() const {
  std::vector<Extent> written{superblock_.piece.extent};
  if (journal_) written.push_back(journal_->piece.extent);
  if (mmp_) written.push_back(mmp_->piece.extent);
  for (const Piece& piece : log_.pieces) written.push_back(piece.extent);
  for (const Wave& wave : waves_)
    for (const Piece& piece : wave.pieces) written.push_back(piece.extent);
  std::ranges::sort(written, {}, &Extent::at);

  std::vector<Extent> parts;
  const uint64_t block_size = request_.block_size;
  uint64_t saved_to = shape_.image.at;
  for (const Extent& extent : written) {
    uint64_t at = std::max(saved_to, extent.at - (extent.at - shape_.image.at) % block_size);
    const uint64_t blocks = (extent.end() - shape_.image.at + block_size - 1) / block_size;
    const uint64_t end = std::min(shape_.image.end(), shape_.image.at + blocks * block_size);
    for (; at < end; at = saved_to) {
      saved_to = std::min(end, at + kMaxPiece);
      parts.push_back({at, saved_to - at});
    }
  }
  return parts;
}

bool CommitRun::save_extent(UndoLogWriter& log, const ReadAhead::Part& part) {
  const auto& [extent, error, bytes] = part;
  if (cancelled()) {
    report_.undo = UndoLogState::removed;
    return cancel_untouched();
  }
  if (error != 0) {
    report_.undo = UndoLogState::removed;
    return refuse_read(error, extent);
  }
  if (!take_before(truth_->first_at(extent.at), extent, bytes)) {
    report_.undo = UndoLogState::removed;
    return false;
  }
  if (const int failed = log.add((extent.at - shape_.image.at) / request_.block_size, bytes, hashes_after(extent, bytes)))
    return refuse_undo_log(system_error("cannot write " + undo_file_->path().string(), failed).message, failed);
  if (request_.progress != nullptr) request_.progress->advance(extent.length);
  return true;
}

// A receipt_hash() for each block of the extent, whose old bytes are these: of what it is to have when the commit is done.
// 0 for those that the commit writes more than once, and for what nothing refers to.
std::vector<uint64_t> CommitRun::hashes_after(Extent extent, Bytes old_bytes) const {
  std::vector<uint64_t> hashes;
  size_t i = truth_->first_at(extent.at);
  for (uint64_t done = 0; done < extent.length; done += request_.block_size) {
    const uint64_t at = extent.at + done, length = std::min<uint64_t>(request_.block_size, extent.length - done);
    while (i < blocks_.size() && shape_.extent_of(blocks_[i].block).at < at) ++i;
    const bool staged = i < blocks_.size() && shape_.extent_of(blocks_[i].block).at == at;
    const auto holds = [&](const HeldRange& range) { return range.extent.at < at + length && range.extent.end() > at; };
    if (holds(superblock_) || (journal_ && holds(*journal_)) || (mmp_ && holds(*mmp_)) || (staged && !is_in_place(roles_[i])))
      hashes.push_back(0);
    else
      hashes.push_back(receipt_hash(staged ? blocks_[i].after.first(length) : old_bytes.subspan(done, length)));
  }
  return hashes;
}

// It is read again in whole: a log that cannot be read is none.
bool CommitRun::seal_undo_log(UndoLogWriter& log) {
  const std::string path = undo_file_->path().string();
  if (const int error = log.finish(request_.final_superblock))
    return refuse_undo_log(system_error("cannot write " + path, error).message, error);
  if (const int error = undo_file_->make_durable())
    return refuse_undo_log(system_error("cannot bring " + path + " to the disk", error).message, error);
  if (const auto reread = UndoLog::open(path); !reread)
    return refuse_undo_log(reread.error().message, reread.error().code != 0 ? reread.error().code : EIO);
  if (!cancelled()) return true;
  report_.undo = UndoLogState::removed;
  return cancel_untouched();
}

bool CommitRun::refuse_undo_log(const std::string& why, int error) {
  return refuse(fmt::format("{} is untouched: there is no undo log ({}). Give --undo-file a place with room, or do "
                            "without one with --no-undo",
                            request_.path.string(), why),
                error);
}

}  // namespace extscrub
