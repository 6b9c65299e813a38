#include "audit/catalogue/problem.h"

#include <algorithm>
#include <array>

namespace extscrub {

namespace {

constexpr auto kCatalogue = std::to_array<ProblemInfo>({
#define PROBLEM(id, code, severity, repair, message, explanation) \
  {Problem::id, code, Severity::severity, RepairClass::repair, message, explanation},
#include "audit/catalogue/problem.def"
#undef PROBLEM
});

}  // namespace

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
