// How much of the machine a run takes from others. For the thread that starts all others, before it does.
#pragma once

#include "scan/format/error.h"

namespace extscrub {

// The lowest priority for the processor (nice 19), and for disks the idle class: read only when nobody else wants to.
// Threads that are started from now on inherit both. Errors: the system refuses one of them; the other is set.
[[nodiscard]] Result<void> lower_priority();

}  // namespace extscrub
