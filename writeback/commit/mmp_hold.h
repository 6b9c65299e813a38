// The part of a commit that keeps other hosts away: the block of multiple-mount protection says that the file system is
// being checked, from before the first other write until behind the last one. Does nothing where there is none.
// For one thread.
#pragma once

#include "writeback/commit/medium.h"

namespace extscrub {

class MmpHold {
 public:
  // Both must outlive it.
  MmpHold(Prepared& prepared, Medium& medium) : prepared_(prepared), medium_(medium) {}

  // These latch what fails.
  [[nodiscard]] bool claim();
  // Nobody else has written there meanwhile.
  [[nodiscard]] bool is_held() { return !prepared_.mmp || prepared_.mmp->check(medium_, CommitStep::mmp); }
  [[nodiscard]] bool release();

  // The run has failed or was stopped. What another host has written there meanwhile is left alone; so is a block that
  // cannot be written: the next run says what to do.
  void release_after_failure() noexcept;

 private:
  Prepared& prepared_;
  Medium& medium_;
  bool claimed_ = false;
};

}  // namespace extscrub
