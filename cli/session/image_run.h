// The work on one image: opened, each of its targets worked on, closed; in this process or in one of its own.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cli/options/options.h"
#include "cli/process/environment.h"
#include "cli/process/progress.h"
#include "cli/report/report.h"

namespace extscrub {

// Fills the report of one target, whose path and offset are set already.
using ImageWork = std::function<void(ImageReport&, const Options&, const Environment&, Progress&)>;

// A report a target; one for the image where it cannot be looked at.
[[nodiscard]] std::vector<ImageReport> run_image(const std::string& path, const Options& options, const Environment& environment,
                                                 const ImageWork& work);

}  // namespace extscrub
