// The passes of a repair: which there are, in which order they run, and what each needs. All from passes.def; the functions are
// those of plan_repairs(). Constant data: any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "audit/catalogue/enum_set.h"

namespace extscrub {

enum class Pass : uint8_t {
#define PASS(id, name, function, turn, needs, what) id,
#include "audit/catalogue/passes.def"
#undef PASS
};

using PassSet = EnumSet<Pass>;

// When a pass runs, see passes.def.
struct Turn {
  enum When : uint8_t { first, in_layer, last, end } when;
  unsigned layer = 0;  // from 1 on, of those in a layer
};

struct PassInfo {
  Pass pass;
  std::string_view name;  // kebab-case
  Turn turn;
  PassSet needs;          // those without whose success it has nothing to go by
  std::string_view what;  // it does, for a person: a part of a sentence
};

// All passes, in the order of passes.def, which is that in which they run.
[[nodiscard]] std::span<const PassInfo> all_passes();
[[nodiscard]] const PassInfo& info(Pass pass);

}  // namespace extscrub
