// SIGINT and SIGTERM, as a flag that long work asks for. Used once, by main(); the flag may be read from any thread.
#pragma once

#include <atomic>

namespace extscrub {

// From now on the two signals set the flag that is returned, and do nothing else: what is under way is finished, so
// that no write is torn. SIGPIPE is ignored. The flag lives as long as the process.
[[nodiscard]] const std::atomic<bool>& catch_stop_signals();

}  // namespace extscrub
