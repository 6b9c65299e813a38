#include "writeback/commit/commit.h"

#include <algorithm>
#include <cerrno>
#include <exception>

#include "writeback/commit/commit_run.h"
#include "writeback/commit/refusals.h"

namespace extscrub {

namespace {

// The steps that write. Whatever fails in them, settle() comes after it and has the image marked.
void carry_out(CommitRun& run) {
  try {
    (void)(run.claim_mmp() && run.arm() && run.write_log() && run.write_blocks() && run.finish());
  } catch (const std::exception&) {
    run.fail(ENOMEM, CommitStep::write);
  }
  run.settle();
}

// Whether there is something to write, and it is still wanted.
Checked is_called_for(const Prepared& prepared) {
  const CommitRequest& request = prepared.request;
  if (request.blocks.empty() && std::ranges::equal(prepared.superblock.truth(), request.final_superblock))
    return refuse(RefusalReason::nothing_to_do);
  if (request.cancelled()) return refuse(RefusalReason::cancelled);
  return {};
}

CommitOutcome outcome_of(const Refusal& refusal) {
  if (refusal.reason == RefusalReason::nothing_to_do) return CommitOutcome::nothing_to_do;
  return refusal.reason == RefusalReason::cancelled ? CommitOutcome::cancelled : CommitOutcome::refused;
}

// Everything before the first write, each of which may refuse; then, with `writing` set, all that writes.
Checked commit_prepared(Prepared& prepared, WriteDevice& device, WriteQueue& queue, CommitReport& report, bool& writing) {
  if (const auto called = is_called_for(prepared); !called) return called;
  CommitRun run(prepared, device, queue, report);
  if (const auto saved = save_old_bytes(prepared, report); !saved) return saved;
  if (const auto same = look_again(prepared, device, report); !same) return same;
  writing = true;
  carry_out(run);
  return {};
}

void take_refusal(CommitReport& report, const Refusal& refusal) {
  report.outcome = outcome_of(refusal);
  if (report.outcome != CommitOutcome::nothing_to_do) report.cause = refusal;
}

void commit_on(const CommitRequest& request, WriteDevice& device, WriteQueue& queue, CommitReport& report, bool& writing) {
  auto prepared = prepare(request, device, report);
  if (!prepared) return take_refusal(report, prepared.error());
  const auto done = commit_prepared(*prepared, device, queue, report, writing);
  if (done) return;
  take_refusal(report, done.error());
  if (report.outcome != CommitOutcome::refused) report.receipts = prepared->receipts();
}

}  // namespace

CommitReport commit_on(const CommitRequest& request, WriteDevice& device, WriteQueue& queue) {
  const auto start = std::chrono::steady_clock::now();
  CommitReport report;
  report.queue = queue.kind();
  report.direct_io = device.direct();
  bool writing = false;
  try {
    commit_on(request, device, queue, report, writing);
  } catch (const std::exception&) {
    // Buffers or the error worker's thread are not to be had; or, behind the mark, the memory to say so.
    if (!writing) return refused({.reason = RefusalReason::no_memory_or_thread, .error = ENOMEM});
    report.outcome = CommitOutcome::errored;
    report.cause = Failure{CommitStep::write, {}, ENOMEM, report.failures()};
  }
  report.seconds = std::chrono::steady_clock::now() - start;
  return report;
}

CommitReport commit(const CommitRequest& request, const ImageLock& /*lock*/) {
  try {
    const auto device = open_write_device(request.opened.empty() ? request.path : request.opened, request.file);
    if (!device)
      return refused({.reason = RefusalReason::not_opened, .error = device.error().code, .block = {}, .why = device.error()});
    const auto queue = make_queue(request.queue, **device);
    if (!queue) return refused({.reason = RefusalReason::no_queue, .error = queue.error().code, .why = queue.error()});
    return commit_on(request, **device, **queue);
  } catch (const std::exception&) {
    return refused({.reason = RefusalReason::no_memory, .error = ENOMEM});
  }
}

}  // namespace extscrub
