// The history of an image in its reports. Pure functions: any thread.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "audit/lost/look_back.h"

namespace extscrub {

// "33 transactions since 2026-11-27T03:00:12Z", or why there is none.
[[nodiscard]] std::string summary_of(const Past& past);

// Lines: the blocks that were asked for with their versions; where none were, the transactions.
[[nodiscard]] std::string text_of(const Past& past);

[[nodiscard]] nlohmann::ordered_json json_of(const Past& past);

}  // namespace extscrub
