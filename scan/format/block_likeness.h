// How much versions of a block have in common: what tells an older version from one that somebody has edited.
// Stateless: any thread.
#pragma once

#include "scan/format/geometry.h"
#include "scan/format/ondisk.h"

namespace extscrub {

// More than half of what is stored in `b` stands in `a` as well.
[[nodiscard]] bool are_alike(Bytes a, Bytes b);

// What is compared as one.
enum class LikenessUnit : uint8_t { bit, byte, half_word };

struct Likeness {
  size_t changed = 0;   // units in which the newest version differs from the first
  size_t as_fresh = 0;  // of these, those that are in place as in the newest
};

// Three versions of a block: what lies in place, the first that the log has, and the newest.
[[nodiscard]] Likeness compare_versions(Bytes place, Bytes first, Bytes fresh, LikenessUnit unit);

// Of a directory's block: a name that `newest` has and `place` has not, and its bytes are still where it was: it was removed
// behind the newest version. The kernel wipes them; other tools only let the entry before it reach over them.
[[nodiscard]] bool has_trace_of_removed(const Geometry& geometry, Bytes place, Bytes newest);

}  // namespace extscrub
