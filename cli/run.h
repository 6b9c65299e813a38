// The whole tool as a function, so that tests run it without a process. One run at a time an environment.
#pragma once

#include <string>
#include <vector>

#include "cli/process/environment.h"

namespace extscrub {

// `arguments`: what stands behind the program's name. Returns the exit status; throws nothing.
[[nodiscard]] int run(const std::vector<std::string>& arguments, const Environment& environment) noexcept;

}  // namespace extscrub
