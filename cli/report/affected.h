// The list of --affected: which files of an image are touched, or lost, and which bytes of them, for whoever has a backup.
// Pure functions: any thread.
#pragma once

#include <string>

#include "cli/report/report.h"

namespace extscrub {

// A line for each file and range: path, first byte, the byte behind the last, what ("touched", or "lost" by the repair), and
// the image, with tabs between them. Paths are escaped, so that a name makes no second line; "-" twice where nobody knows which
// bytes, and "<inode N>" for a file without a path. Sorted; ranges that touch each other are one.
[[nodiscard]] std::string affected_lines(const ImageReport& image);

}  // namespace extscrub
