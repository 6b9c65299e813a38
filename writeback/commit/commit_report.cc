#include "writeback/commit/commit_report.h"

namespace extscrub {

int CommitReport::error() const {
  if (const Refusal* r = refusal()) return r->error;
  return failure() ? failure()->error : 0;
}

std::optional<BlockNo> CommitReport::error_block() const {
  if (const Refusal* r = refusal()) return r->block;
  return failure() ? failure()->block : std::nullopt;
}

CommitReport refused(Refusal refusal) {
  CommitReport report;
  report.cause = std::move(refusal);
  return report;
}

}  // namespace extscrub
