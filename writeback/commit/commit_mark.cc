// The part of a commit that the error worker does: the error mark, and the file beside the image when it cannot be had.
#include <fmt/format.h>

#include <cerrno>
#include <ctime>
#include <string_view>

#include "writeback/commit/commit_run.h"
#include "writeback/mark/error_mark.h"

namespace extscrub {

namespace {

struct StepName {
  std::string_view function;  // s_first_error_func, s_last_error_func
  std::string_view doing;     // for a person
};

StepName name_of(CommitStep step) {
  switch (step) {
    case CommitStep::arm:
      return {"extscrub_arm", "arming the superblock"};
    case CommitStep::log:
      return {"extscrub_log", "writing the journal"};
    case CommitStep::write:
      return {"extscrub_write", "writing"};
    case CommitStep::flush:
      return {"extscrub_flush", "flushing the blocks"};
    case CommitStep::read_back:
      return {"extscrub_read_back", "reading back"};
    case CommitStep::finish:
      return {"extscrub_finish", "writing the final superblock"};
    case CommitStep::mmp:
      return {"extscrub_mmp", "keeping others away by multiple-mount protection"};
    case CommitStep::size:
      return {"extscrub_size", "keeping its size, which somebody changed while it was written,"};
  }
  return {"extscrub_commit", "committing"};
}

std::string error_text(int error) {
  return system_error("", error).message.substr(2);
}

}  // namespace

void CommitRun::write_mark(const FailureSummary& failures) noexcept {
  const auto record = [](const WriteFailure& failure) {
    return ErrorRecord{failure.error, failure.block.value_or(BlockNo{}).value, name_of(failure.step).function, 0};
  };
  marking_ = true;
  try {
    // The final superblock may be on its way to the platter already, valid bit and all: the mark takes the bit out.
    arm_superblock(superblock_.superblock());
    apply_error_mark(superblock_.superblock(), {record(failures.first), record(failures.last), failures.count,
                                                static_cast<uint64_t>(std::time(nullptr))});
    if (!put_mark()) write_mark_beside(failures);
  } catch (const std::exception& e) {
    sidecar_error_ = e.what();
  }
}

// Each part by itself, twice at most: what can be made to say it, says it. True when all of them do.
bool CommitRun::put_mark() {
  // A replay of the journal can put an older superblock over the mark; s_errno survives it.
  bool journal_due = replay_due();
  if (journal_due) set_journal_error(journal_->superblock());
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (!report_.marked) report_.marked = mark_part(superblock_);
    if (!journal_due || !mark_part(*journal_)) continue;
    journal_due = false;
    report_.logged = offered_;
  }
  return report_.marked && !journal_due;
}

bool CommitRun::mark_part(HeldRange& range) {
  return put_held(range) == 0 && flush_device() == 0 && held_reads_back(range) == 0;
}

void CommitRun::write_mark_beside(const FailureSummary& failures) {
  const auto id = load<FileSystemId>(superblock_.truth(), offsetof(ext2_super_block, s_uuid));
  const auto sidecar = write_sidecar(
      request_.path, id, fmt::format("{}\n{}, so this file says it. Time: {}\n",
                                 failure_message(failures),
                                 report_.marked ? "The journal of the image could not be marked as errored"
                                                : "The image could not be marked as errored",
                                 std::time(nullptr)));
  if (sidecar) {
    report_.sidecar = *sidecar;
  } else {
    sidecar_error_ = sidecar.error().message;
  }
}

std::string CommitRun::failure_message(const FailureSummary& failures) const {
  const WriteFailure& first = failures.first;
  std::string text = fmt::format("{}: {}", request_.path.string(), name_of(first.step).doing);
  if (first.block && (first.step == CommitStep::write || first.step == CommitStep::read_back))
    text += fmt::format(" block {}", *first.block);
  text += " failed: " + error_text(first.error);
  if (failures.count > 1) text += fmt::format(" ({} failures in all)", failures.count);
  return text;
}

}  // namespace extscrub
