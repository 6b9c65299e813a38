// What can be read behind a broken record of a directory block. The files whose names are hidden there are known: they
// are in use and miss a name. So entries that lead on to each other up to the block's end, and the first of which gives a
// file the name it misses, are what was hidden; old entries that lie between those in use are not.
// For one thread.
#pragma once

#include <optional>

#include "audit/run/audit_run.h"
#include "scan/format/dir_block.h"

namespace extscrub {

class Salvage {
 public:
  // `directory`: the one the entries lie in; `encrypted`: its names are no text.
  Salvage(const AuditRun& run, InodeNo directory, bool encrypted) : run_(run), directory_(directory), encrypted_(encrypted) {}

  struct Result {
    std::optional<DirEntry> entry;  // the broken one, if it is one
    std::optional<uint32_t> next;   // where entries begin again
  };
  // `at`: where the walk of `area` broke.
  [[nodiscard]] Result behind(Bytes area, uint32_t at) const;

  // A name that can be, for a file that is in use and of that kind.
  [[nodiscard]] bool plausible(const DirEntry& entry) const;
  // The inode has fewer names than links.
  [[nodiscard]] bool lacks_name(InodeNo ino) const;

 private:
  [[nodiscard]] std::optional<uint32_t> find_chain(Bytes area, uint32_t from) const;

  const AuditRun& run_;
  InodeNo directory_;
  bool encrypted_;
};

}  // namespace extscrub
