// Multiple-mount protection, as a scrub and an undo heed it: nothing is written while another host uses the file system.
// One thread.
#pragma once

#include "cli/options/options.h"
#include "cli/process/environment.h"
#include "cli/report/report.h"

namespace extscrub {

// Whether the image may be written to; where it may not, the report says why. May take as long as another host would need
// to show itself. `claim` becomes the block that the commit keeps others away with.
[[nodiscard]] bool is_free_of_others(ImageReport& report, const Image& image, const Options& options,
                                     const Environment& environment, std::optional<MmpClaim>& claim);

}  // namespace extscrub
