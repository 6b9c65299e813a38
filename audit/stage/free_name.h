// Names that no entry of a directory has yet. For one thread.
#pragma once

#include <string>
#include <unordered_map>
#include <unordered_set>

#include "scan/format/dir_hash.h"

namespace extscrub {

class FreeNames {
 public:
  // `folded`: names that differ in case only are the same.
  FreeNames(const DirHasher& hasher, bool folded) : hasher_(hasher), folded_(folded) {}

  // False: it is taken already.
  [[nodiscard]] bool take(const std::string& name) { return taken_.insert(key(name)).second; }
  // `name` with ~0, ~1 ... behind it, the first that is free; shortened where it must be. It is taken then.
  [[nodiscard]] std::string choose(const std::string& name);

 private:
  // Equal for names that are the same. In a casefolded directory it may be equal for others too, which does no harm.
  [[nodiscard]] std::string key(const std::string& name) const;

  const DirHasher& hasher_;
  bool folded_;
  std::unordered_set<std::string> taken_;
  std::unordered_map<std::string, uint32_t> next_;  // the number to try first
};

}  // namespace extscrub
