// Refusals in one line each. Stateless.
#pragma once

#include <expected>

#include "writeback/commit/commit_report.h"

namespace extscrub {

[[nodiscard]] inline std::unexpected<Refusal> refuse(RefusalReason reason, int error = 0, Error why = {}) {
  return std::unexpected(Refusal{.reason = reason, .error = error, .why = std::move(why)});
}

[[nodiscard]] inline std::unexpected<Refusal> refuse(RefusalReason reason, BlockNo block, int error = 0) {
  return std::unexpected(Refusal{.reason = reason, .error = error, .block = block});
}

[[nodiscard]] inline std::unexpected<Refusal> refuse_resized(uint64_t before, uint64_t now, int error) {
  return std::unexpected(
      Refusal{.reason = RefusalReason::resized, .error = error, .block = {}, .size_before = before, .size_now = now, .why = {}});
}

}  // namespace extscrub
