// No file that a run writes is another file of the run: a report that takes the name of an image, of a list or of the undo
// file loses what cannot be had again. Looks at names only and opens nothing; one thread.
#pragma once

#include <span>
#include <string>

#include "cli/options/options.h"
#include "scan/format/error.h"

namespace extscrub {

// `images`: all of the run, of lists too. Files that are there are the same by device and inode, links followed; others by
// their folder and name. Each image is looked at once. What keeps nothing (a descriptor, a character device, a FIFO) may be
// named twice.
// Errors: two are the same; the message begins with the name of the file that would be written.
[[nodiscard]] Result<void> check_files_differ(const Options& options, std::span<const std::string> images);

}  // namespace extscrub
