#include "audit/catalogue/pass.h"

#include <array>

namespace extscrub {

namespace {

// The columns of passes.def.
namespace turns {
constexpr Turn first{Turn::first}, last{Turn::last}, end{Turn::end};
constexpr Turn layer(unsigned n) { return {Turn::in_layer, n}; }
}  // namespace turns
#define needs(...)                              \
  [] {                                          \
    using enum Pass;                            \
    [[maybe_unused]] constexpr PassSet nothing; \
    return PassSet{__VA_ARGS__};                \
  }()
constexpr auto kPasses = std::to_array<PassInfo>({
#define PASS(id, name, function, turn, needs, what) \
  {Pass::id, name,                                  \
   [] {                                             \
     using namespace turns;                         \
     return turn;                                   \
   }(),                                             \
   needs, what},
#include "audit/catalogue/passes.def"
#undef PASS
});
#undef needs

}  // namespace

std::span<const PassInfo> all_passes() { return kPasses; }

const PassInfo& info(Pass pass) { return kPasses[static_cast<size_t>(pass)]; }

}  // namespace extscrub
