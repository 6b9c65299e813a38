// The catalogue of problems: one enum value, code, severity, repair class and message each, what it speaks of, what mends it and
// what it hides, all from problem.def. Constant data: any thread.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "audit/catalogue/pass.h"

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

// What a problem speaks of.
enum class Scope : uint8_t {
  image,       // its bytes
  superblock,  // fields and features of the file system
  recovery,    // the journal, the orphans: what the next mount goes by
  block,       // whatever lies there
  group,       // its descriptor and bitmaps
  inode,       // its fields
  map,         // of an inode
  attributes,  // of an inode, in it or in a block
  value,       // an inode that holds the value of an attribute
  directory,   // its blocks and its index
  entry,       // of a directory
  tree,        // names and links
};

// What nobody can be sure of while a problem is there.
enum class Hidden : uint8_t {
  claims,      // that what looks unused is not in use
  names,       // that there are no other names
  blocks,      // that what the inode names as its blocks is its own
  origin,      // that the inode and its map are as they were written
  size,        // that the file ends where the inode says
  structures,  // what the group's bitmaps and inode table hold
  primary,     // that the primary superblock and descriptors are what the copies should be
  gone,        // what was in use and is gone: bitmaps and counts are all that tells of it
};

enum class Problem : uint16_t {
#define PROBLEM(id, code, severity, repair, scope, passes, hidden, message, explanation) id,
#include "audit/catalogue/problem.def"
#undef PROBLEM
};

// By code, so that nothing goes by the order of problem.def; of two with one code the more severe comes first.
[[nodiscard]] std::strong_ordering operator<=>(Problem a, Problem b);
[[nodiscard]] inline bool operator<(Problem a, Problem b) { return (a <=> b) < 0; }
[[nodiscard]] inline bool operator>(Problem a, Problem b) { return (a <=> b) > 0; }
[[nodiscard]] inline bool operator<=(Problem a, Problem b) { return (a <=> b) <= 0; }
[[nodiscard]] inline bool operator>=(Problem a, Problem b) { return (a <=> b) >= 0; }

struct ProblemInfo {
  Problem problem;
  std::string_view code;  // kebab-case, stable, never reused; two entries share one where its severity depends on the evidence
  Severity severity;
  RepairClass repair;
  Scope scope;
  struct Mend {
    PassSet passes;      // that answer it; none where there is no repair
    bool alone = true;   // it is a reason for a repair by itself
  } mend;
  EnumSet<Hidden> hides;
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
