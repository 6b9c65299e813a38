// An image's report as bytes and back: how the process that looks at an image tells the run what it has found. The bytes
// are read by a program of the same build only, but the process that wrote them may have been taken over by its image:
// lengths, enumerators and sizes are checked, and what a report takes in memory is bounded.
// Pure functions: any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "cli/report/report.h"

namespace extscrub {

// What a report may take in memory, and so what its bytes may.
inline constexpr uint64_t kMostReportBytes = uint64_t{1} << 30;

[[nodiscard]] std::string to_bytes(const ImageReport& report);
[[nodiscard]] std::string error_to_bytes(const Error& error);

// `budget`: bytes of memory the report may take; what it takes is taken from it. Nothing: the bytes are no report, or
// one that takes more.
[[nodiscard]] std::optional<ImageReport> report_from_bytes(std::string_view bytes, uint64_t& budget);
[[nodiscard]] std::optional<Error> error_from_bytes(std::string_view bytes, uint64_t& budget);

}  // namespace extscrub
