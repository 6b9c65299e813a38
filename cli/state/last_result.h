// What the run before has found in an image, and how that differs from what is found now. A finding is known again by
// its code and its place; values and texts may change from run to run. Plain values and pure functions: any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/report/report.h"

namespace extscrub {

struct LastResult {
  std::string path;  // absolute
  uint64_t offset = 0;
  std::string uuid;  // empty: the image could not be read yet
  int64_t time = 0;  // seconds since 1970; when the run was done with the image
  Verdict verdict{};
  int exit_status = 0;
  std::vector<Finding> findings = {};  // what is left in the image: codes and places, no values; sorted
  bool has_more = false;               // behind the last of them, past --max-findings
  int64_t audited = 0;                 // seconds since 1970; when there last was a file system to look at; 0: never
};

// What is to be known of the image at its next run. What was repaired is not in the image any more. An image that could
// not be read this time keeps the findings of `last`. The report must have a verdict.
[[nodiscard]] LastResult result_of(const ImageReport& report, const LastResult* last, int64_t now);

// Nothing when `last` is about another file system in the same place.
[[nodiscard]] std::optional<Changes> changes_since(const LastResult& last, const ImageReport& report);

// As it is stored; the schema is extscrub-state/1. Errors: the text is none of that.
[[nodiscard]] std::string to_text(const LastResult& result);
[[nodiscard]] Result<LastResult> parse_last_result(const std::string& text);

}  // namespace extscrub
