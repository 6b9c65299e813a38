// How what was found in an image differs from what the run before has found there. Plain values.
#pragma once

#include <cstdint>
#include <vector>

#include "audit/run/audit.h"

namespace extscrub {

// How an image differs from its last result. What was past --max-findings, then or now, is neither new nor gone.
struct Changes {
  int64_t since = 0;          // seconds since 1970
  Verdict verdict{};          // then
  std::vector<bool> is_new;   // by finding of the report; empty when there is no saying
  std::vector<Finding> gone;  // which nobody has found this time; sorted
};

}  // namespace extscrub
