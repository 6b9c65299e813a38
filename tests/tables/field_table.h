// A fault for every field: tables of all fields of a structure with values that are wrong, what the audit must say to each, and
// what its repair may do. A field whose wrong values nobody notices is in the table as well, with the reason.
// Constant tables, and a driver that belongs to one thread.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "audit/catalogue/problem.h"
#include "scan/format/geometry.h"
#include "tests/support/test_image.h"

namespace extscrub::test {

// A wrong value, in the byte order of the structure. Wider fields than 8 bytes keep the rest of their bytes, but for fill().
struct Wrong {
  enum How : uint8_t { set, flip, add, fill } how = set;
  uint64_t number = 0;
  constexpr Wrong(uint64_t value) : number(value) {}  // the number itself: what most rows have
  constexpr Wrong(How what, uint64_t value) : how(what), number(value) {}
};
[[nodiscard]] constexpr Wrong flip(uint64_t bits) { return {Wrong::flip, bits}; }
[[nodiscard]] constexpr Wrong add(uint64_t number) { return {Wrong::add, number}; }
[[nodiscard]] constexpr Wrong fill(uint8_t byte) { return {Wrong::fill, byte}; }

enum class RepairNeeded : uint8_t {
  none,   // the image is clean as it is: nothing is staged
  safe,   // safe repairs prove it clean; nothing of any file changes
  lossy,  // only --repair=all does; nothing changes but the structure's own file
};

struct Fate {
  std::optional<Problem> code;  // none: nobody notices, and `why`
  RepairNeeded repair = RepairNeeded::none;
  const char* why = "";
  bool e2fsck_differs = false;  // on a field that is not noticed
  bool own_changes = false;     // the structure's own file does not become what it was, also by a safe repair
  bool hides = false;           // files that come to light with all repairs only
  bool uncovered = false;       // no checksum covers the field
  bool refused = false;         // the image is not audited at all, and `why` is in what is said
};
[[nodiscard]] constexpr Fate note(Problem code) { return {code, RepairNeeded::none}; }
[[nodiscard]] constexpr Fate safe(Problem code) { return {code, RepairNeeded::safe}; }
// A safe repair that makes the file whole and legal, but cannot know what the field said.
[[nodiscard]] constexpr Fate safe_guess(Problem code) { return {code, RepairNeeded::safe, "", false, true}; }
[[nodiscard]] constexpr Fate lossy(Problem code) { return {code, RepairNeeded::lossy, "", false, true}; }
[[nodiscard]] constexpr Fate unseen(const char* why) { return {std::nullopt, RepairNeeded::none, why}; }
[[nodiscard]] constexpr Fate refused(const char* because) {
  return {std::nullopt, RepairNeeded::none, because, false, false, false, false, true};
}
[[nodiscard]] constexpr Fate lossy_as_it_hides(Problem code) { return {code, RepairNeeded::lossy, "", false, true, true}; }
[[nodiscard]] constexpr Fate unseen_uncovered(const char* why) {
  return {std::nullopt, RepairNeeded::none, why, false, false, false, true};
}
// e2fsck complains, without a reason that the kernel would share.
[[nodiscard]] constexpr Fate unseen_but_by_e2fsck(const char* why) { return {std::nullopt, RepairNeeded::none, why, true}; }

// Reasons that many fields share.
inline constexpr const char* kHistory = "what it was told at some time: any value is right";
inline constexpr const char* kHint = "a hint for allocators: any value works";
inline constexpr const char* kOff = "the feature is off: nobody reads it";
inline constexpr const char* kPadding = "nobody reads it";
inline constexpr const char* kNeverCame = "for snapshots or compression, which never came: nobody reads it";
inline constexpr const char* kSealedAgain = "the checksum itself: sealed again it is right";

struct FieldRow {
  const char* field;  // as the kernel or libext2fs names it
  unsigned at, width; // bytes, from the beginning of the structure
  std::vector<Wrong> wrong;
  Fate fate;
};

// Where a structure lies, and whose it is.
struct Spot {
  uint64_t at = 0;     // bytes, in the image
  uint32_t inode = 0;  // for checksums that begin with it
};

struct SealedSpot {
  const TestImage& image;
  const Geometry& geometry;  // of the sound image
  Spot spot;
};

struct FieldTable {
  const char* structure;
  unsigned size;  // bytes; the rows cover each of them
  const TestImage& (*sound)();
  Spot (*locate)(const TestImage& sound);
  void (*seal)(const SealedSpot&) = nullptr;       // none: no checksum covers it
  std::vector<Problem> unsealed = {};              // one of these comes where the checksum is left as it was
  std::vector<std::string_view> own = {};          // paths of the files that may change; a directory with all below it
  bool big_endian = false;
};

void check_fields(const FieldTable& table, const std::vector<FieldRow>& rows);

}  // namespace extscrub::test
