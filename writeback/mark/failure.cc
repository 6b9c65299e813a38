#include "writeback/mark/failure.h"

#include <fmt/format.h>

#include <string_view>

#include "scan/format/error.h"

namespace extscrub {

namespace {

struct StepName {
  std::string_view function;
  std::string_view doing;  // for a person
};

StepName name_of(CommitStep step) {
  switch (step) {
    case CommitStep::arm: return {"extscrub_arm", "arming the superblock"};
    case CommitStep::log: return {"extscrub_log", "writing the journal"};
    case CommitStep::write: return {"extscrub_write", "writing"};
    case CommitStep::flush: return {"extscrub_flush", "flushing the blocks"};
    case CommitStep::read_back: return {"extscrub_read_back", "reading back"};
    case CommitStep::finish: return {"extscrub_finish", "writing the final superblock"};
    case CommitStep::mmp: return {"extscrub_mmp", "keeping others away by multiple-mount protection"};
    case CommitStep::size: return {"extscrub_size", "keeping its size, which somebody changed while it was written,"};
  }
  return {"extscrub_commit", "committing"};
}

}  // namespace

Failure failure_of(const FailureSummary& failures) {
  return {failures.first.step, failures.first.block, failures.first.error, failures.count};
}

std::string_view function_of(CommitStep step) { return name_of(step).function; }

std::string describe(const Failure& failure) {
  std::string text(name_of(failure.step).doing);
  if (failure.block && (failure.step == CommitStep::write || failure.step == CommitStep::read_back))
    text += fmt::format(" block {}", *failure.block);
  text += " failed: " + error_text(failure.error);
  if (failure.count > 1) text += fmt::format(" ({} failures in all)", failure.count);
  return text;
}

}  // namespace extscrub
