// Which images a run is for: those of the command line, and of lists. One thread.
#pragma once

#include <atomic>
#include <istream>
#include <string>
#include <vector>

#include "cli/options/options.h"
#include "scan/format/error.h"

namespace extscrub {

// The images in the order they are named: IMAGE by IMAGE, "-" standing for the list in `in`, then the list of --files-from
// ("-": `in` again; null is standard input itself). A list has one name a line, or between NULs with --null; empty ones are
// left out. `stop` ends the wait for a list; it may be null.
// Errors: a list cannot be read, or there is no image at all (nothing_asked); cancelled.
[[nodiscard]] Result<std::vector<std::string>> list_images(const Options& options, std::istream* in,
                                                           const std::atomic<bool>* stop);

}  // namespace extscrub
