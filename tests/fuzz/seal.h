// Checksums put right after patches. Stateless: any thread.
#pragma once

#include "tests/fuzz/patched_image.h"

namespace extscrub::fuzz {

// The primary superblock, the primary descriptors, and the log: its superblock, the blocks of its transactions with their
// tags, and the tails of its fast commits.
void seal_image(MemoryImage& image);

}  // namespace extscrub::fuzz
