// What the default undo file of an image is named after. Stateless: any thread.
#pragma once

#include <string>

namespace extscrub {

// The image, but for a URI, which has no folder, what can be the name of a file in the current directory.
[[nodiscard]] std::string undo_name(const std::string& image);

}  // namespace extscrub
