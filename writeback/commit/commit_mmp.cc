// The part of a commit that keeps other hosts away: the block of multiple-mount protection says that the file system is
// being checked, from before the first other write until behind the last one.
#include <algorithm>
#include <ctime>

#include "writeback/commit/commit_run.h"

namespace extscrub {

// Whoever uses the file system by now has written into the block.
bool CommitRun::hold_mmp() {
  return std::ranges::equal(mmp_->bytes, request_.mmp->before) || refuse_changed(mmp_->block);
}

bool CommitRun::mmp_is_as_seen() {
  if (!mmp_) return true;
  const MutableBytes now = scratch_.first(mmp_->extent.length);
  return read_fully(device_, mmp_->extent.at, now) == 0 && std::ranges::equal(now, request_.mmp->before);
}

bool CommitRun::claim_mmp() {
  if (undo_file_) undo_file_->keep();
  if (!mmp_) return true;
  mmp_->bytes = mmp_in_hand(*request_.mmp, static_cast<uint64_t>(std::time(nullptr)));
  mmp_claimed_ = true;
  return write_durably(*mmp_, CommitStep::mmp);
}

// At rest, or as an undo has to leave it.
bool CommitRun::release_mmp() {
  if (!mmp_claimed_) return true;
  mmp_->bytes = mmp_at_rest(*request_.mmp);
  const auto staged = std::ranges::find(request_.blocks, mmp_->block, &StagedBlock::block);
  if (staged != request_.blocks.end()) mmp_->bytes.assign(staged->after.begin(), staged->after.end());
  mmp_claimed_ = false;
  if (!write_durably(*mmp_, CommitStep::mmp)) return false;
  finish_receipt(*mmp_);
  return true;
}

// The run has failed or was stopped. What another host has written there meanwhile is left alone; so is a block that
// cannot be written: the next run says what to do.
void CommitRun::release_mmp_after_failure() noexcept {
  if (!mmp_claimed_) return;
  try {
    if (held_reads_back(*mmp_) != 0) return;
    mmp_->bytes = mmp_at_rest(*request_.mmp);
    if (put_held(*mmp_) == 0) (void)flush_device();
  } catch (const std::exception&) {
  }
}

}  // namespace extscrub
