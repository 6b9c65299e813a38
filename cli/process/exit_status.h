// The exit status, as fsck(8) has it: bits, ORed over the images. Constants and pure functions: any thread.
#pragma once

#include <algorithm>

#include "audit/run/audit.h"

namespace extscrub {

inline constexpr int kExitOk = 0;           // no errors
inline constexpr int kExitCorrected = 1;    // errors were corrected
inline constexpr int kExitErrorsLeft = 4;   // errors are left
inline constexpr int kExitOperational = 8;  // I/O error, no such file, not ext, write-back failed
inline constexpr int kExitUsage = 16;       // the command line cannot be understood
inline constexpr int kExitCancelled = 32;   // stopped by SIGINT or SIGTERM

// What an image with this verdict adds to the status. `strict`: a journal to replay or orphans to release count as
// errors left.
[[nodiscard]] constexpr int exit_status(Verdict verdict, bool strict) {
  switch (verdict) {
    case Verdict::clean: return kExitOk;
    case Verdict::recoverable: return strict ? kExitErrorsLeft : kExitOk;
    case Verdict::repaired: return kExitCorrected;
    case Verdict::damaged: return kExitErrorsLeft;
    case Verdict::errored: return kExitOperational;
    case Verdict::unreadable: return kExitOperational;
    case Verdict::not_audited:  // unless what is there needs no audit, as whoever looked at it knows
      return kExitErrorsLeft;
  }
  return kExitOperational;
}

// What the device did not give (or would not have, where a list says so) was not audited: beside what the verdict says,
// that is an operational error.
[[nodiscard]] inline int read_failure_status(const std::vector<Finding>& findings, const std::vector<FindingCount>& past = {}) {
  // What is missing because the image is cut short is damage, and no failure.
  const auto cut = std::ranges::find(findings, Problem::image_truncated, &Finding::problem);
  const auto is_reading = [](const auto& f) { return f.problem == Problem::read_error || f.problem == Problem::data_unreadable; };
  const bool failed = std::ranges::any_of(findings, [&](const Finding& f) {
    const bool missing = cut != findings.end() && f.block && *f.block >= *cut->block;
    return is_reading(f) && !missing;
  });
  const bool failed_past = cut == findings.end() && std::ranges::any_of(past, is_reading);
  return failed || failed_past ? kExitOperational : kExitOk;
}

}  // namespace extscrub
