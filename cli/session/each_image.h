// A run over images: the list, what was done before, each image in turn, the report, what the next run is to know. One thread.
#pragma once

#include "cli/session/image_run.h"

namespace extscrub {

// Does `work` for every image, prints the report, and returns the exit status.
[[nodiscard]] int for_each_image(const Options& options, const Environment& environment, const ImageWork& work);

}  // namespace extscrub
