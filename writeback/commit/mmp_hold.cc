#include "writeback/commit/mmp_hold.h"

#include <ctime>
#include <exception>

namespace extscrub {

bool MmpHold::claim() {
  if (!prepared_.mmp) return true;
  prepared_.mmp->set(mmp_in_hand(*prepared_.request.mmp, static_cast<uint64_t>(std::time(nullptr))));
  claimed_ = true;
  return prepared_.mmp->write_durably(medium_, CommitStep::mmp);
}

// At rest, or as an undo has to leave it.
bool MmpHold::release() {
  if (!claimed_) return true;
  HeldBlock& mmp = *prepared_.mmp;
  if (mmp.staged)
    mmp.set(mmp.staged->bytes.after);
  else
    mmp.set(mmp_at_rest(*prepared_.request.mmp));
  claimed_ = false;
  if (!mmp.write_durably(medium_, CommitStep::mmp)) return false;
  mmp.finish_receipt(medium_.report());
  return true;
}

void MmpHold::release_after_failure() noexcept {
  if (!claimed_) return;
  try {
    HeldBlock& mmp = *prepared_.mmp;
    if (mmp.reads_back(medium_) != 0) return;
    mmp.set(mmp_at_rest(*prepared_.request.mmp));
    if (mmp.put(medium_) == 0) (void)medium_.flush();
  } catch (const std::exception&) {
  }
}

}  // namespace extscrub
