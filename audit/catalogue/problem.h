// The catalogue of problems: one enum value, code, severity, repair class and message each, all from problem.def.
// Constant data: any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace extscrub {

enum class Severity : uint8_t {
  note,     // worth knowing, nothing is wrong
  warning,  // a spare copy or an unused field is off; the file system works as it is
  error,    // the image is damaged
};

enum class RepairClass : uint8_t {
  none,   // reported only
  safe,   // follows from the rest of the image, no user data goes away
  lossy,  // something is cleared, cut or cloned
};

enum class Problem : uint16_t {
#define PROBLEM(id, code, severity, repair, message, explanation) id,
#include "audit/catalogue/problem.def"
#undef PROBLEM
};

struct ProblemInfo {
  Problem problem;
  std::string_view code;  // kebab-case, stable, never reused; two entries share one where its severity depends on the evidence
  Severity severity;
  RepairClass repair;
  std::string_view message;      // one line, without the place
  std::string_view explanation;  // what it is, how it comes about, what the repair does and may cost
};

// All problems, in the order of problem.def.
[[nodiscard]] std::span<const ProblemInfo> problem_catalogue();
[[nodiscard]] const ProblemInfo& info(Problem problem);
[[nodiscard]] std::optional<Problem> find_problem(std::string_view code);

[[nodiscard]] std::string_view name(Severity severity);
[[nodiscard]] std::string_view name(RepairClass repair);

}  // namespace extscrub
