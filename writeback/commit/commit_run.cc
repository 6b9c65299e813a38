#include "writeback/commit/commit_run.h"
#include "scan/format/journal_superblock.h"
#include "scan/format/superblock.h"

#include <algorithm>

namespace extscrub {

CommitRun::CommitRun(Prepared& prepared, WriteDevice& device, WriteQueue& queue, CommitReport& report)
    : prepared_(prepared), request_(prepared.request), report_(report), medium_(prepared, device, latch_, report),
      marker_(prepared, medium_), mmp_(prepared, medium_), writer_(prepared, medium_, queue),
      worker_(latch_, [this](const FailureSummary& failures) { marker_.write(failures); }) {}

bool CommitRun::claim_mmp() {
  if (prepared_.undo_file) prepared_.undo_file->keep();
  return mmp_.claim();
}

bool CommitRun::arm() {
  HeldBlock& superblock = prepared_.superblock;
  // A superblock that is damaged itself is no ground to stand on: sealing it would hide that.
  if (!is_sound_superblock(superblock.superblock())) superblock.set(request_.final_superblock);
  arm_superblock(superblock.superblock());
  HeldBlock* const journal = prepared_.replay_due() ? &*prepared_.journal : nullptr;
  if (journal != nullptr) {
    if (request_.drops_log) empty_log(journal->superblock());
    set_journal_error(journal->superblock());
  }
  report_.armed = superblock.write(medium_, CommitStep::arm) &&
                  (journal == nullptr || journal->write(medium_, CommitStep::arm)) && medium_.make_durable(CommitStep::arm) &&
                  superblock.check(medium_, CommitStep::arm) && (journal == nullptr || journal->check(medium_, CommitStep::arm));
  return report_.armed;
}

bool CommitRun::write_log() {
  if (!prepared_.through) return true;
  // Nobody looks at this part of the log yet. It is read again before anybody is told to.
  if (!writer_.write(prepared_.log, "writing the journal") || !medium_.make_durable(CommitStep::log) ||
      !writer_.reads_back(prepared_.log, "reading back the journal"))
    return false;
  HeldBlock& superblock = prepared_.superblock;
  if (!needs_recovery(superblock.superblock())) {
    set_needs_recovery(superblock.superblock(), true);
    if (!superblock.write_durably(medium_, CommitStep::log)) return false;
  }
  prepared_.journal->set(prepared_.through->transaction.superblock);
  marker_.offers_log = true;
  report_.logged = prepared_.journal->write_durably(medium_, CommitStep::log);
  return report_.logged;
}

bool CommitRun::write_blocks() {
  for (WriteSet& wave : prepared_.waves) {
    const bool written = writer_.write(wave, "writing");
    if (medium_.failed() || !medium_.make_durable(CommitStep::flush) || !written || !writer_.reads_back(wave, "reading back"))
      return false;
  }
  in_place_ = true;
  return true;
}

bool CommitRun::finish() {
  return medium_.kept_size() && mmp_.is_held() && empty_journal() && put_final_superblock() && medium_.kept_size() &&
         mmp_.release();
}

// Before the superblock says that there is nothing to recover: a log that is not empty would be in the way then.
bool CommitRun::empty_journal() {
  if (!prepared_.journal) return true;
  HeldBlock& journal = *prepared_.journal;
  journal.set(journal_when_done());
  marker_.offers_log = report_.logged = false;  // whether it still is cannot be told until the write is over
  if (!journal.write_durably(medium_, CommitStep::finish)) return false;
  journal.finish_receipt(report_);
  return true;
}

// What is staged for it; else what it was.
Bytes CommitRun::journal_when_done() const {
  const HeldBlock& journal = *prepared_.journal;
  return journal.staged ? journal.staged->bytes.after.first(journal.truth().size()) : Bytes(prepared_.journal_before);
}

bool CommitRun::put_final_superblock() {
  HeldBlock& superblock = prepared_.superblock;
  superblock.set(request_.final_superblock);
  arm_superblock(superblock.superblock());
  if (!superblock.write_durably(medium_, CommitStep::finish)) return false;

  // The valid bit is still missing, or an undo has an unsound superblock to put back as it was.
  if (!std::ranges::equal(superblock.truth(), request_.final_superblock)) {
    superblock.set(request_.final_superblock);
    if (!superblock.write_durably(medium_, CommitStep::finish)) return false;
  }
  superblock.finish_receipt(report_);
  return true;
}

void CommitRun::settle() {
  worker_.settle();
  mmp_.release_after_failure();
  report_.receipts = prepared_.receipts();
  report_.outcome = CommitOutcome::committed;
  if (latch_.set()) {
    report_.outcome = CommitOutcome::errored;
    report_.cause = failure_of(latch_.summary());
  } else if (writer_.stopped()) {
    report_.outcome = CommitOutcome::cancelled;
  }
  if (report_.outcome != CommitOutcome::committed) report_.left = what_is_left();
}

WhatIsLeft CommitRun::what_is_left() const {
  if (in_place_) return WhatIsLeft::in_place;
  if (report_.logged) return WhatIsLeft::in_journal;
  return prepared_.through ? WhatIsLeft::as_it_was : WhatIsLeft::in_part;
}

}  // namespace extscrub
