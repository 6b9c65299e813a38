#define XXH_INLINE_ALL
#include "writeback/undo_log/receipt_hash.h"

#include <xxhash.h>

namespace extscrub {

uint64_t receipt_hash(Bytes bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

}  // namespace extscrub
