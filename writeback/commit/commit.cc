#include "writeback/commit/commit.h"

#include <cerrno>
#include <exception>

#include "writeback/commit/commit_run.h"

namespace extscrub {

namespace {

CommitReport refusal(std::string message, int error) {
  CommitReport report;
  report.message = std::move(message);
  report.error = error;
  return report;
}

// The steps that write. Whatever fails in them, settle() comes after it and has the image marked.
void carry_out(CommitRun& run) {
  try {
    (void)(run.claim_mmp() && run.arm() && run.write_log() && run.write_blocks() && run.finish());
  } catch (const std::exception&) {
    run.fail(ENOMEM, CommitStep::write);
  }
  run.settle();
}

}  // namespace

CommitReport commit_on(const CommitRequest& request, WriteDevice& device, WriteQueue& queue) {
  const auto start = std::chrono::steady_clock::now();
  CommitReport report;
  bool writing = false;
  try {
    CommitRun run(request, device, queue, report);
    if (run.prepare() && run.save_old_bytes() && run.look_again()) {
      writing = true;
      carry_out(run);
    }
  } catch (const std::exception&) {
    // Buffers or the error worker's thread are not to be had; or, behind the mark, the words to say so.
    if (!writing) return refusal(request.path.string() + " is untouched: no memory or thread to write it with", ENOMEM);
    report.outcome = CommitOutcome::errored;
    report.error = ENOMEM;
  }
  report.seconds = std::chrono::steady_clock::now() - start;
  return report;
}

CommitReport commit(const CommitRequest& request, const ImageLock& /*lock*/) {
  try {
    const auto device = open_write_device(request.opened.empty() ? request.path : request.opened, request.file);
    if (!device) return refusal(device.error().message, device.error().code);
    const auto queue = make_queue(request.queue, **device);
    if (!queue) return refusal(request.path.string() + " is untouched: " + queue.error().message, queue.error().code);
    return commit_on(request, **device, **queue);
  } catch (const std::exception&) {
    return refusal(request.path.string() + " is untouched: out of memory", ENOMEM);
  }
}

}  // namespace extscrub
