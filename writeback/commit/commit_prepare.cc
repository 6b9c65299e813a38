// The part of a commit before its first write: everything that may refuse.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cerrno>

#include "writeback/commit/commit_run.h"
#include "writeback/mark/error_mark.h"
#include "writeback/undo_log/receipt_hash.h"

namespace extscrub {

namespace {

bool equal(Bytes a, Bytes b) {
  return std::ranges::equal(a, b);
}

uint64_t room_behind(uint64_t size, uint64_t offset) {
  return size > offset ? size - offset : 0;
}

}  // namespace

CommitRun::CommitRun(const CommitRequest& request, WriteDevice& device, WriteQueue& queue, CommitReport& report)
    : request_(request),
      device_(device),
      queue_(queue),
      report_(report),
      shape_{{request.offset, room_behind(device.size(), request.offset)}, request.block_size, device.alignment()},
      blocks_(request.blocks),
      roles_(blocks_.size(), Role::last) {
  report_.queue = queue.kind();
  report_.direct_io = device.direct();
}

bool CommitRun::prepare() {
  if (!check_request() || !choose_journal()) return false;
  order_blocks();
  find_held_blocks();
  plan_writes();
  make_receipts();
  if (!read_before_images()) return false;

  if (request_.blocks.empty() && equal(superblock_.truth(), request_.final_superblock)) {
    report_.outcome = CommitOutcome::nothing_to_do;
    return false;
  }
  if (cancelled()) return cancel_untouched();
  truth_.emplace(blocks_, shape_);
  truth_->hold(superblock_);
  if (journal_) truth_->hold(*journal_);
  if (mmp_) truth_->hold(*mmp_);
  writer_.emplace(queue_, latch_, shape_.alignment, scratch_.size());
  worker_.emplace(latch_, [this](const FailureSummary& failures) { write_mark(failures); });
  return true;
}

bool CommitRun::check_request() {
  const auto block_size = request_.block_size;
  if (!std::has_single_bit(block_size) || block_size < 1024 || block_size > 65536)
    return refuse(fmt::format("{} cannot be written with blocks of {} bytes", request_.path.string(), block_size),
                  EINVAL);
  if (request_.file_size && *request_.file_size != device_.size())
    return refuse_resized(*request_.file_size, device_.size());
  if (shape_.image.length < kSuperblockOffset + kSuperblockSize)
    return refuse(fmt::format("{} ends before its superblock does", request_.path.string()), EINVAL);
  const uint64_t block_count = (shape_.image.length + block_size - 1) / block_size;
  const StagedBlock* last = nullptr;
  for (const StagedBlock& staged : request_.blocks) {
    if (staged.block.value >= block_count)
      return refuse(fmt::format("block {} lies behind the end of {}", staged.block, request_.path.string()), EINVAL);
    if ((last != nullptr && staged.block <= last->block) || staged.before.size() != block_size ||
        staged.after.size() != block_size)
      return refuse(fmt::format("block {} is not staged as a block of {}", staged.block, request_.path.string()),
                    EINVAL);
    last = &staged;
  }
  if (!request_.waves.empty() && request_.waves.size() != request_.blocks.size())
    return refuse(fmt::format("the blocks of {} are not staged in an order", request_.path.string()), EINVAL);
  if (request_.journal_superblock && request_.journal_superblock->value >= shape_.image.length / block_size)
    return refuse(fmt::format("the journal's superblock lies behind the end of {}", request_.path.string()), EINVAL);
  return true;
}

// Where the journal has all of it, or nothing says which is which, all goes out at once.
void CommitRun::order_blocks() {
  if (transaction_) return;
  for (size_t i = 0; i < request_.waves.size(); ++i) {
    switch (request_.waves[i]) {
      case WriteWave::fresh: roles_[i] = Role::fresh; break;
      case WriteWave::pointers: roles_[i] = Role::pointers; break;
      case WriteWave::last: roles_[i] = Role::last; break;
    }
  }
}

// The superblock goes out by itself, and so does the block that holds nothing else that changes: block 1 with blocks
// of 1024 bytes, block 0 of others when only the superblock inside it differs.
void CommitRun::find_held_blocks() {
  const BlockNo superblock_block(kSuperblockOffset / request_.block_size);
  const size_t inside = kSuperblockOffset % request_.block_size;
  superblock_ = held_range(superblock_block, {shape_.image.at + kSuperblockOffset, kSuperblockSize});
  const auto journal = transaction_ ? request_.journal->superblock : request_.journal_superblock;
  if (journal && *journal != superblock_block) journal_ = held_range(*journal, shape_.extent_of(*journal));
  if (request_.mmp) mmp_ = held_range(request_.mmp->block, shape_.extent_of(request_.mmp->block));

  for (size_t i = 0; i < blocks_.size(); ++i) {
    const StagedBlock& staged = blocks_[i];
    if (roles_[i] == Role::log) continue;
    if (staged.block == superblock_block) {
      const size_t behind = inside + kSuperblockSize;
      if (equal(staged.before.first(inside), staged.after.first(inside)) &&
          equal(staged.before.subspan(behind), staged.after.subspan(behind)))
        roles_[i] = Role::held;
    }
    if (journal_ && staged.block == journal_->block) roles_[i] = Role::held;
    if (mmp_ && staged.block == mmp_->block) roles_[i] = Role::held;
  }
}

HeldRange CommitRun::held_range(BlockNo block, Extent extent) const {
  HeldRange range;
  range.block = block;
  range.extent = extent;
  range.piece.extent = shape_.widened(extent);
  range.piece.whole = range.piece.extent.length == extent.length;
  range.bytes.resize(extent.length);
  range.out = AlignedBuffer(range.piece.extent.length);
  return range;
}

// What goes to its place, and apart from it what goes into the log; the buffers for the longest of all.
void CommitRun::plan_writes() {
  const auto others_than = [this](Role role) {
    std::vector<bool> others(roles_.size());
    for (size_t i = 0; i < roles_.size(); ++i) others[i] = roles_[i] != role;
    return others;
  };
  size_t count = 0;
  for (const Role role : {Role::fresh, Role::pointers, Role::last})
    if (auto pieces = plan_pieces(blocks_, others_than(role), shape_); !pieces.empty()) {
      count += pieces.size();
      waves_.push_back({role, std::move(pieces)});
    }
  log_.pieces = plan_pieces(blocks_, others_than(Role::log), shape_);
  count += log_.pieces.size();
  uint64_t longest = std::max(superblock_.piece.extent.length, uint64_t{request_.block_size});
  if (journal_) longest = std::max(longest, journal_->piece.extent.length);
  if (mmp_) longest = std::max(longest, mmp_->piece.extent.length);
  for (const Piece& piece : log_.pieces) longest = std::max(longest, piece.extent.length);
  for (const Wave& wave : waves_)
    for (const Piece& piece : wave.pieces) longest = std::max(longest, piece.extent.length);
  scratch_ = AlignedBuffer(longest);
  expected_ = AlignedBuffer(longest);
  const std::vector<Extent> saved = extents_to_save();
  const uint64_t span = saved.back().end() - saved.front().at;  // of all that is read
  reads_.emplace(device_, std::max(longest, std::min(span, kMaxPiece)), std::max(saved.size(), count));
}

// The before-images of the pieces' blocks. With an undo log it is enough to have the bytes around the pieces that are
// not whole sectors: save_old_bytes() reads and compares everything.
bool CommitRun::read_before(std::vector<Piece>& pieces) {
  std::vector<Piece*> wanted;
  std::vector<Extent> extents;
  for (Piece& piece : pieces) {
    if (request_.undo && piece.whole) continue;
    wanted.push_back(&piece);
    extents.push_back(piece.extent);
  }
  reads_->begin(std::move(extents));
  for (Piece* piece : wanted) {
    const auto [extent, error, bytes] = reads_->next();
    if (error != 0) return refuse_read(error, extent);
    if (!take_before(piece->first, extent, bytes)) return false;
    if (!piece->whole) piece->base.assign(bytes.begin(), bytes.end());
  }
  return true;
}

// Of the blocks from the `first` on that lie in what was read: as staged, or somebody else has changed them.
bool CommitRun::take_before(size_t first, Extent read_extent, Bytes read_bytes) {
  for (size_t i = first; i < blocks_.size(); ++i) {
    const Extent block = shape_.extent_of(blocks_[i].block);
    if (block.at >= read_extent.end()) break;
    if (block.at < read_extent.at || block.end() > read_extent.end()) continue;
    // Nobody has read what lies in the free part of the log.
    if (roles_[i] == Role::log)
      report_.receipts[i].before_hash = receipt_hash(read_bytes.subspan(block.at - read_extent.at, block.length));
    else if (!compare_before(i, read_extent, read_bytes))
      return false;
  }
  return true;
}

bool CommitRun::read_before_images() {
  for (Wave& wave : waves_)
    if (!read_before(wave.pieces)) return false;
  if (!read_before(log_.pieces)) return false;
  for (size_t i = 0; i < blocks_.size(); ++i) {
    if (roles_[i] != Role::held) continue;
    const Extent extent = shape_.extent_of(blocks_[i].block);
    const MutableBytes bytes = scratch_.first(extent.length);
    if (const int error = read_fully(device_, extent.at, bytes)) return refuse_read(error, extent);
    if (!compare_before(i, extent, bytes)) return false;
  }
  if (!read_held(superblock_) || (journal_ && !read_held(*journal_))) return false;
  // Whatever is staged rests on it.
  if (request_.audited_superblock && !equal(superblock_.truth(), *request_.audited_superblock))
    return refuse_changed(superblock_.block);
  if (mmp_ && (!read_held(*mmp_) || !hold_mmp())) return false;
  if (!journal_) return true;
  // Not staged, and nobody will replay it: then it is no business of this commit.
  const bool staged = std::ranges::find(request_.blocks, journal_->block, &StagedBlock::block) != request_.blocks.end();
  if (!transaction_ && !staged && !replay_due()) journal_.reset();
  if (journal_) journal_before_ = journal_->bytes;
  return !transaction_ || equal(journal_before_, request_.journal->superblock_bytes) || refuse_changed(journal_->block);
}

bool CommitRun::compare_before(size_t index, Extent read_extent, Bytes read_bytes) {
  const StagedBlock& staged = blocks_[index];
  const Extent extent = shape_.extent_of(staged.block);
  if (equal(read_bytes.subspan(extent.at - read_extent.at, extent.length), staged.before.first(extent.length)))
    return true;
  return refuse_changed(staged.block);
}

bool CommitRun::refuse_changed(BlockNo block) {
  report_.error_block = block;
  return refuse(
      fmt::format("{} is untouched: block {} has changed since it was read, so somebody else writes to the "
                  "image; try again once nobody does",
                  request_.path.string(), block));
}

bool CommitRun::read_held(HeldRange& range) {
  const MutableBytes bytes = scratch_.first(range.piece.extent.length);
  if (const int error = read_fully(device_, range.piece.extent.at, bytes))
    return refuse_read(error, range.piece.extent);
  if (!range.piece.whole) range.piece.base.assign(bytes.begin(), bytes.end());
  const Bytes own = bytes.subspan(range.extent.at - range.piece.extent.at, range.extent.length);
  range.bytes.assign(own.begin(), own.end());
  range.written_hash = receipt_hash(own);
  return true;
}

bool CommitRun::look_again() {
  const uint64_t now = device_.size_now();
  if (now == device_.size() && mmp_is_as_seen()) return true;
  if (undo_file_) {
    undo_file_.reset();
    report_.undo = UndoLogState::removed;
    report_.undo_file.clear();
    report_.undo_bytes = 0;
  }
  return now == device_.size() ? refuse_changed(mmp_->block) : refuse_resized(device_.size(), now);
}

bool CommitRun::refuse_resized(uint64_t before, uint64_t now) {
  return refuse(fmt::format("{} is untouched: its size changed from {} to {} bytes since it was read, so somebody else "
                            "works on it; try again once nobody does",
                            request_.path.string(), before, now),
                EIO);
}

bool CommitRun::cancel_untouched() {
  report_.outcome = CommitOutcome::cancelled;
  report_.message = request_.path.string() + " is untouched: stopped before the first write";
  return false;
}

bool CommitRun::refuse(std::string message, int error) {
  report_.outcome = CommitOutcome::refused;
  report_.receipts.clear();  // there are no buffers
  report_.message = std::move(message);
  report_.error = error;
  return false;
}

bool CommitRun::refuse_read(int error, Extent extent) {
  report_.error_block = block_of_byte(extent.at);
  return refuse(
      system_error(fmt::format("{} is untouched: cannot read block {}", request_.path.string(), *report_.error_block),
                   error)
          .message,
      error);
}

void CommitRun::make_receipts() {
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const StagedBlock& staged = blocks_[i];
    Receipt receipt;
    receipt.block = staged.block;
    if (roles_[i] == Role::log) receipt.kind = BufferKind::log;
    receipt.before_hash = receipt_hash(staged.before);
    receipt.after_hash = receipt_hash(staged.after);
    if (roles_[i] != Role::log && staged.block == superblock_.block) {
      std::vector<std::byte> block(staged.after.begin(), staged.after.end());
      const size_t inside = kSuperblockOffset % request_.block_size;
      std::ranges::copy(request_.final_superblock, block.begin() + static_cast<std::ptrdiff_t>(inside));
      receipt.after_hash = receipt_hash(block);
    }
    report_.receipts.push_back(receipt);
  }
}

}  // namespace extscrub
