// What the subcommands have in common in their work on one target: to open what the options name, to lock it, to ask who uses
// it, to watch a write that takes long. One thread.
#pragma once

#include <optional>
#include <string>

#include "cli/options/options.h"
#include "cli/process/environment.h"
#include "cli/process/progress.h"
#include "cli/process/stall_watch.h"
#include "cli/report/report.h"
#include "cli/session/each_image.h"
#include "cli/session/failure.h"

namespace extscrub {

// Prints `text` to standard output, or to the file of --output. Returns the exit status.
[[nodiscard]] int print_report(const std::string& text, const Options& options, const Environment& environment);

// Opens the image; when that fails, or it holds something else than ext2/3/4, the report says so.
[[nodiscard]] std::optional<Image> open_image(ImageReport& report, const Options& options, const Environment& environment);

// Opens what --journal names; when that fails, the report says so.
[[nodiscard]] std::optional<Image> open_journal_image(ImageReport& report, const Options& options,
                                                      const Environment& environment);

// Reads what --bad-blocks or --ddrescue-map names; nothing where neither was given. When that fails, the report has an
// exit status and says so.
[[nodiscard]] std::optional<UnreadableList> open_unreadable_list(ImageReport& report, const Options& options,
                                                                 const Environment& environment);

// The lock that a scrub or an undo works under.
[[nodiscard]] Result<ImageLock> lock_image(const ImageReport& report, const Environment& environment);

// The file to lock, and to ask who else uses it: the image, but for the disk of an NBD server what it is opened as.
[[nodiscard]] const std::string& lockable(const ImageReport& report);

// The file that a write-back leaves beside an image which could not take the error mark; nothing when there is none, or it
// is of another file system.
[[nodiscard]] std::optional<std::string> find_error_sidecar(const ImageReport& report);

// Prints what the writing of this image waits for too long.
[[nodiscard]] StallWatch watch_for(const ImageReport& report, const Environment& environment);

[[nodiscard]] AuditOptions audit_options(const Options& options, Progress& progress);

}  // namespace extscrub
