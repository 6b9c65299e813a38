#include "audit/catalogue/problem.h"

#include <algorithm>
#include <array>

namespace extscrub {

namespace {

// The columns that are written like calls.
#define EXTSCRUB_SET_OF(E, ...)                    \
  [] {                                             \
    using enum E;                                  \
    [[maybe_unused]] constexpr EnumSet<E> nothing; \
    return EnumSet<E>{__VA_ARGS__};                \
  }()
#define scope(what) Scope::what
#define mended_by(...) {EXTSCRUB_SET_OF(Pass, __VA_ARGS__), true}
#define mended_along(...) {EXTSCRUB_SET_OF(Pass, __VA_ARGS__), false}
#define hides(...) EXTSCRUB_SET_OF(Hidden, __VA_ARGS__)
constexpr auto kCatalogue = std::to_array<ProblemInfo>({
#define PROBLEM(id, code, severity, repair, scope, mend, hides, message, explanation) \
  {Problem::id, code, Severity::severity, RepairClass::repair, scope, mend, hides, message, explanation},
#include "audit/catalogue/problem.def"
#undef PROBLEM
});
#undef hides
#undef mended_along
#undef mended_by
#undef scope
#undef EXTSCRUB_SET_OF

// The place of each problem in the order of codes.
constexpr auto kRanks = [] {
  std::array<uint16_t, kCatalogue.size()> by_code{}, ranks{};
  for (size_t i = 0; i < by_code.size(); ++i) by_code[i] = static_cast<uint16_t>(i);
  std::ranges::sort(by_code, [](uint16_t a, uint16_t b) {
    const ProblemInfo &x = kCatalogue[a], &y = kCatalogue[b];
    return x.code != y.code ? x.code < y.code : x.severity > y.severity;
  });
  for (size_t i = 0; i < by_code.size(); ++i) ranks[by_code[i]] = static_cast<uint16_t>(i);
  return ranks;
}();

}  // namespace

std::strong_ordering operator<=>(Problem a, Problem b) {
  return kRanks[static_cast<size_t>(a)] <=> kRanks[static_cast<size_t>(b)];
}

std::span<const ProblemInfo> problem_catalogue() { return kCatalogue; }

const ProblemInfo& info(Problem problem) { return kCatalogue[static_cast<size_t>(problem)]; }

std::optional<Problem> find_problem(std::string_view code) {
  const auto it = std::ranges::find(kCatalogue, code, &ProblemInfo::code);
  if (it == kCatalogue.end()) return std::nullopt;
  return it->problem;
}

std::string_view name(Severity severity) {
  switch (severity) {
    case Severity::note: return "note";
    case Severity::warning: return "warning";
    case Severity::error: return "error";
  }
  return "";
}

std::string_view name(RepairClass repair) {
  switch (repair) {
    case RepairClass::none: return "none";
    case RepairClass::safe: return "safe";
    case RepairClass::lossy: return "lossy";
  }
  return "";
}

}  // namespace extscrub
