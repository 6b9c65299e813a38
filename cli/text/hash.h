// A hash to know bytes again by. A pure function: any thread.
#pragma once

#include <string>

#include "scan/format/ondisk.h"

namespace extscrub {

// XXH3 of 128 bits, in hexadecimal. Not a CRC: that of a block which carries its own says nothing.
[[nodiscard]] std::string hash_of(Bytes bytes);

}  // namespace extscrub
