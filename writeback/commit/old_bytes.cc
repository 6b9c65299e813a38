// The part of a commit that saves what it is going to write over: the undo log, complete and durable before the first
// write to the image.
#include "writeback/commit/old_bytes.h"

#include <algorithm>
#include <cerrno>

#include "writeback/commit/before_images.h"
#include "writeback/commit/refusals.h"
#include "writeback/undo_log/receipt_hash.h"
#include "writeback/undo_log/undo_log.h"

namespace extscrub {

namespace {

std::unexpected<Refusal> no_undo_log(Error why) {
  const int error = why.kind == ErrorKind::system ? why.code : EIO;
  return refuse(RefusalReason::no_undo_log, error, std::move(why));
}

bool overlap(Extent a, Extent b) { return a.at < b.end() && a.end() > b.at; }

// A receipt_hash() of what one block is to have when the commit is done: 0 for those that the commit writes more than
// once, and for what nothing refers to.
uint64_t hash_after(Prepared& p, Extent extent, Bytes old_bytes) {
  const BlockNo block = p.block_of_byte(extent.at);
  bool unknown = p.log.find(block) != nullptr;
  p.for_each_held([&](const HeldBlock& held) { unknown = unknown || overlap(held.extent(), extent); });
  if (unknown) return 0;
  for (const WriteSet& wave : p.waves)
    if (const CommitBlock* staged = wave.find(block)) return receipt_hash(staged->bytes.after.first(extent.length));
  return receipt_hash(old_bytes);
}

std::vector<uint64_t> hashes_after(Prepared& p, Extent extent, Bytes old_bytes) {
  std::vector<uint64_t> hashes;
  const uint64_t block_size = p.request.block_size;
  for (uint64_t done = 0; done < extent.length; done += block_size) {
    const uint64_t length = std::min<uint64_t>(block_size, extent.length - done);
    hashes.push_back(hash_after(p, {extent.at + done, length}, old_bytes.subspan(done, length)));
  }
  return hashes;
}

// What the log is made of, part after part.
class Saver {
 public:
  Saver(Prepared& prepared, CommitReport& report)
      : p_(prepared), report_(report), log_(*prepared.undo_file, prepared.request.block_size, prepared.request.offset) {}

  Checked save_all() {
    const std::vector<Extent> extents = extents_to_save(p_);
    uint64_t total = 0;
    for (const Extent& extent : extents) total += extent.length;
    if (p_.request.progress != nullptr) p_.request.progress->phase("saving old bytes", total);
    p_.reads->begin(extents);
    for (size_t i = 0; i < extents.size(); ++i)
      if (const auto saved = save(p_.reads->next()); !saved) return saved;
    return seal();
  }

  [[nodiscard]] uint64_t bytes() const { return log_.bytes(); }

 private:
  // The log is sound as far as it goes, but not needed.
  std::unexpected<Refusal> removed(std::unexpected<Refusal> refusal) {
    report_.undo = UndoLogState::removed;
    return refusal;
  }

  Checked save(const ReadAhead::Part& part) {
    const auto& [extent, error, bytes] = part;
    if (p_.request.cancelled()) return removed(refuse(RefusalReason::cancelled));
    if (error != 0) return removed(refuse(RefusalReason::unreadable, p_.block_of_byte(extent.at), error));
    if (const auto compared = compare_before(p_, extent, bytes); !compared) return removed(std::unexpected(compared.error()));
    if (const int failed = log_.add(p_.block_of_byte(extent.at).value, bytes, hashes_after(p_, extent, bytes)))
      return no_undo_log(file_error("cannot write", p_.undo_file->path().string(), failed));
    if (p_.request.progress != nullptr) p_.request.progress->advance(extent.length);
    return {};
  }

  // It is read again in whole: a log that cannot be read is none.
  Checked seal() {
    const std::string path = p_.undo_file->path().string();
    if (const int error = log_.finish(p_.request.final_superblock)) return no_undo_log(file_error("cannot write", path, error));
    if (const int error = p_.undo_file->make_durable())
      return no_undo_log(file_error("cannot bring", path, error, " to the disk"));
    if (const auto reread = UndoLog::open(path); !reread) return no_undo_log(reread.error());
    if (p_.request.cancelled()) return removed(refuse(RefusalReason::cancelled));
    return {};
  }

  Prepared& p_;
  CommitReport& report_;
  UndoLogWriter log_;
};

}  // namespace

std::vector<Extent> extents_to_save(Prepared& p) {
  std::vector<Extent> written;
  p.for_each_held([&](const HeldBlock& held) { written.push_back(held.piece().extent); });
  p.for_each_set([&](const WriteSet& set) {
    for (const Piece& piece : set.pieces()) written.push_back(piece.extent);
  });
  std::ranges::sort(written, {}, &Extent::at);

  std::vector<Extent> parts;
  const uint64_t block_size = p.request.block_size;
  const Extent image = p.shape.image;
  uint64_t saved_to = image.at;
  for (const Extent& extent : written) {
    uint64_t at = std::max(saved_to, extent.at - (extent.at - image.at) % block_size);
    const uint64_t blocks = (extent.end() - image.at + block_size - 1) / block_size;
    const uint64_t end = std::min(image.end(), image.at + blocks * block_size);
    for (; at < end; at = saved_to) {
      saved_to = std::min(end, at + kMaxPiece);
      parts.push_back({at, saved_to - at});
    }
  }
  return parts;
}

Checked save_old_bytes(Prepared& prepared, CommitReport& report) {
  if (!prepared.request.undo) return {};
  report.undo = UndoLogState::failed;
  auto file = UndoFile::create(*prepared.request.undo);
  if (!file) return no_undo_log(file.error());
  prepared.undo_file.emplace(std::move(*file));
  Saver saver(prepared, report);
  if (const auto saved = saver.save_all(); !saved) {
    prepared.undo_file.reset();
    return saved;
  }
  report.undo = UndoLogState::kept;
  report.undo_file = prepared.undo_file->path();
  report.undo_bytes = saver.bytes();
  return {};
}

Checked look_again(Prepared& prepared, WriteDevice& device, CommitReport& report) {
  const uint64_t now = device.size_now();
  if (now == device.size() && mmp_is_as_seen(prepared, device)) return {};
  if (prepared.undo_file) {
    prepared.undo_file.reset();
    report.undo = UndoLogState::removed;
    report.undo_file.clear();
    report.undo_bytes = 0;
  }
  if (now != device.size()) return refuse_resized(device.size(), now, EIO);
  return refuse(RefusalReason::changed, prepared.mmp->block());
}

}  // namespace extscrub
