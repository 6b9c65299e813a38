// One commit in hand: its steps, in the order commit_on() calls them. After a step that returns false no other step is
// taken, only settle(). For one thread; the error worker joins in when nothing else runs any more.
#pragma once

#include "writeback/commit/error_marker.h"
#include "writeback/commit/mmp_hold.h"
#include "writeback/commit/set_writer.h"
#include "writeback/mark/error_worker.h"

namespace extscrub {

class CommitRun {
 public:
  // All must outlive the run. Gets all that could fail for want of memory or threads; nothing is read or written yet.
  CommitRun(Prepared& prepared, WriteDevice& device, WriteQueue& queue, CommitReport& report);
  CommitRun(const CommitRun&) = delete;
  CommitRun& operator=(const CommitRun&) = delete;

  // Where there is multiple-mount protection: its block says that the file system is being checked.
  [[nodiscard]] bool claim_mmp();
  // From here on the image says "not clean", whatever happens.
  [[nodiscard]] bool arm();
  // Where the commit goes through the journal: when this returns true, the journal has all of it.
  [[nodiscard]] bool write_log();
  // Wave after wave: when this returns true, all blocks are durable and have been read back.
  [[nodiscard]] bool write_blocks();
  // All blocks are on the device, and proven to be: now, and only now, the image may say so.
  [[nodiscard]] bool finish();

  // Something failed that no step has seen (out of memory).
  void fail(int error, CommitStep step) { medium_.fail(error, step); }

  // Nothing is in flight any more: waits for the error mark if one is due, and completes the report.
  void settle();

 private:
  bool empty_journal();
  bool put_final_superblock();
  [[nodiscard]] Bytes journal_when_done() const;
  [[nodiscard]] WhatIsLeft what_is_left() const;

  Prepared& prepared_;
  const CommitRequest& request_;
  CommitReport& report_;
  bool in_place_ = false;  // every block is durable and has been read back
  ErrorLatch latch_;
  Medium medium_;
  ErrorMarker marker_;
  MmpHold mmp_;
  SetWriter writer_;
  ErrorWorker worker_;  // last, so that it goes first: it uses all of the above
};

}  // namespace extscrub
