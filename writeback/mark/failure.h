// What failed of a commit, for its report, for the error mark and for a person.
// Plain values: any thread.
#pragma once

#include <string>

#include "writeback/mark/error_latch.h"

namespace extscrub {

// The first failure, and how many there were.
struct Failure {
  CommitStep step{};
  std::optional<BlockNo> block;  // none for a flush
  int error = 0;                 // errno
  uint64_t count = 0;            // failed completions in all
};

[[nodiscard]] Failure failure_of(const FailureSummary& failures);

// What s_first_error_func and s_last_error_func name the step.
[[nodiscard]] std::string_view function_of(CommitStep step);

// "writing block 7 failed: Input/output error (2 failures in all)"
[[nodiscard]] std::string describe(const Failure& failure);

}  // namespace extscrub
