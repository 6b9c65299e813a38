// The part of a commit that the error worker does: the error mark, and the file beside the image when it cannot be had.
// For the worker's thread, while nothing else runs.
#pragma once

#include "writeback/commit/medium.h"

namespace extscrub {

class ErrorMarker {
 public:
  // Both must outlive it.
  ErrorMarker(Prepared& prepared, Medium& medium) : prepared_(prepared), medium_(medium) {}

  void write(const FailureSummary& failures) noexcept;

  // What the journal's superblock is to say: the log begins with the transaction.
  bool offers_log = false;

 private:
  bool put_mark();
  bool mark(HeldBlock& held);
  void write_beside(const Failure& failure);

  Prepared& prepared_;
  Medium& medium_;
};

}  // namespace extscrub
