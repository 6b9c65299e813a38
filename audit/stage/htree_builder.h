// Lays out a directory with an index: a root, leaves in the order of their names' hashes, and nodes between them where the
// root has not enough room. For one thread.
#pragma once

#include <optional>
#include <vector>

#include "audit/stage/directory_names.h"
#include "scan/format/dir_hash.h"
#include "scan/format/geometry.h"

namespace extscrub {

class HtreeBuilder {
 public:
  // `folded`: a casefolded directory. `version`: hash_version of the root.
  HtreeBuilder(const Geometry& geometry, const DirHasher& hasher, const EntryForm& form, unsigned version, bool folded)
      : g_(geometry), hasher_(hasher), form_(form), version_(version), folded_(folded) {}

  // Sorts the names (which must outlive the builder) and plans the blocks; leaves are filled up to `percent`.
  // Returns the number of blocks; nothing when the hash cannot be computed or the index would have too many levels.
  [[nodiscard]] std::optional<uint64_t> plan(std::span<const DirName* const> names, unsigned percent);
  // Writes one of the planned blocks.
  void write(uint64_t logical, MutableBytes block) const;

 private:
  struct Name {
    uint32_t hash = 0;
    const DirName* name = nullptr;
  };
  struct Node {
    size_t first = 0, end = 0;  // of the level below
  };
  struct Child {
    uint32_t hash = 0, block = 0;
  };

  [[nodiscard]] bool hash_names(std::span<const DirName* const> names);
  void cut_leaves(uint32_t room);
  [[nodiscard]] bool build_levels();
  void write_entries(MutableBytes block, size_t at, std::span<const Child> children) const;

  const Geometry& g_;
  const DirHasher& hasher_;
  const EntryForm& form_;
  unsigned version_;
  bool folded_;
  std::vector<const DirName*> sorted_;
  std::vector<uint32_t> hashes_;           // of sorted_
  std::vector<size_t> leaf_ends_;          // in sorted_
  std::vector<std::vector<Child>> below_;  // by level: leaves first; the last one's parent is the root
  std::vector<std::vector<Node>> nodes_;   // by level, from above the leaves up; without the root
};

}  // namespace extscrub
