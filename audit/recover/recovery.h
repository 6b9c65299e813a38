// What the next mount does before anything else, done in memory: the journal is replayed into an overlay, then the
// orphans are released there. The audit looks at the image behind it.
// For one thread.
#pragma once

#include "audit/recover/orphans.h"
#include "scan/journal/journal.h"

namespace extscrub {

struct Recovery {
  JournalFacts journal;
  OrphanFacts orphans;

  bool replayed = false;  // the log, if only an empty one, is behind us: the overlay shows what follows
};

struct RecoverySources {
  const Image* device = nullptr;  // the image of an external journal; may be null
  bool unflagged = false;         // a log that is not said to be needed is replayed too
};

// Stages into `overlay` what the next mount would do to `stored`: the file system as it lies there, read through the
// overlay, descriptors loaded.  Afterwards the file system has to
// be loaded again. Errors: the overlay cannot be staged. Damage stands in the facts.
[[nodiscard]] Result<Recovery> recover(const FileSystem& stored, Overlay& overlay, const RecoverySources& sources);

}  // namespace extscrub
