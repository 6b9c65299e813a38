// What became of a commit, in words for a person: what went wrong, what is left on the image, and what to do.
// Pure: any thread.
#pragma once

#include <optional>
#include <string>

#include "scan/format/error.h"
#include "writeback/commit/commit_report.h"

namespace extscrub {

// What somebody who has to try again is told to do.
enum class CommitPurpose : uint8_t { repair, undo };

// Nothing when it came to its end, or there is nothing to say. `path`: of the image.
[[nodiscard]] std::optional<Error> error_of(const CommitReport& commit, const std::string& path, CommitPurpose purpose);

// Its sentence, or an empty one.
[[nodiscard]] std::string text_of(const CommitReport& commit, const std::string& path, CommitPurpose purpose);

}  // namespace extscrub
