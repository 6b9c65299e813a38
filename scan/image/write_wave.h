// The order in which staged blocks may go to their places one after the other, so that whoever is stopped in between
// leaves nothing that refers to what is not there: each wave is durable before the next begins.
// Plain values: any thread.
#pragma once

#include <cstdint>

namespace extscrub {

enum class WriteWave : uint8_t {
  fresh,     // nothing in the image refers to the block: copies, tables and directories at a new place
  pointers,  // what leads to contents: inode tables, block maps, directories
  last,      // what is counted (bitmaps, descriptors, backups), and blocks whose old contents others have to let go of first
};

}  // namespace extscrub
