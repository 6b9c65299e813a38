// What can fail outside this program: a file that cannot be opened, a device that returns EIO.
// Damage in an image is never an Error; it is a fact, and later a finding.
// Plain values: any thread may hold one.
#pragma once

#include <expected>
#include <string>
#include <utility>

namespace extscrub {

struct Error {
  std::string message;  // complete, for a person: names what was tried and why it failed
  int code = 0;         // errno, or 0 when the system was not asked
};

template <class T>
using Result = std::expected<T, Error>;

// What the system calls an errno: "Input/output error".
[[nodiscard]] std::string error_text(int code);

// The message of `code` (an errno), behind what was being done: "cannot read block 12: Input/output error".
[[nodiscard]] Error system_error(std::string what, int code);

}  // namespace extscrub
