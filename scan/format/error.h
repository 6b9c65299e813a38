// What can fail outside this program: a file that cannot be opened, a device that returns EIO.
// Damage in an image is never an Error; it is a fact, and later a finding.
// An Error says what failed and of what kind that is. Callers go by its kind; its sentence is made last, by text_of(), and
// nobody reads it but a person. Plain values: any thread may hold one.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace extscrub {

enum class ErrorKind : uint8_t {
  refused,          // it is not done, for the reason that the words give
  system,           // the system said no, and `code` is its errno
  cancelled,        // this program was told to stop
  no_superblock,    // there is none that could be gone by: no ext2, ext3 or ext4, or a damaged one
  unknown_feature,  // a sound file system, of a sort that this program does not know
  truncated,        // it ends before what it should have
  nothing_asked,    // the command line names nothing that could be done
};

// Its sentence is "WHAT SUBJECT AFTER: ERRNO; ADVICE", as far as there is each of them.
struct Error {
  std::string what = {};     // "cannot open", or the whole sentence
  ErrorKind kind = ErrorKind::refused;
  int code = 0;              // errno: of kind system the reason, of the others what comes nearest, or 0
  std::string subject = {};  // the file that `what` is done to; a line that begins with its name has no need of it
  std::string after = {};    // behind the subject, with what separates the two: " is empty", " as an image"
  std::string advice = {};   // what to do about it

  static Error cancelled(std::string what = "cancelled") { return {std::move(what), ErrorKind::cancelled}; }

  friend bool operator==(const Error&, const Error&) = default;
};

template <class T>
using Result = std::expected<T, Error>;

// What the system calls an errno: "Input/output error".
[[nodiscard]] std::string error_text(int code);

// `code` (an errno), as the reason why `what` failed: "cannot read block 12: Input/output error".
[[nodiscard]] Error system_error(std::string what, int code);

// The same of something done to a file: "cannot open a.img for writing: Permission denied".
[[nodiscard]] Error file_error(std::string what, std::string file, int code, std::string after = {});

// The sentence for a person, complete: "a.img is empty".
[[nodiscard]] std::string text_of(const Error& error);

// The same for a line that begins with `name` already: "is empty". What is about another file names it.
[[nodiscard]] std::string text_beside(std::string_view name, const Error& error);

}  // namespace extscrub
