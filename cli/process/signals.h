// SIGINT and SIGTERM, as a flag that long work asks for. Used once, by main(); the flag may be read from any thread.
#pragma once

#include <atomic>
#include <csignal>

namespace extscrub {

// From now on the two signals set the flag that is returned, and do nothing else: what is under way is finished, so
// that no write is torn. SIGPIPE and SIGXFSZ are ignored. The flag lives as long as the process.
[[nodiscard]] const std::atomic<bool>& catch_stop_signals();

// What a process that does one image for a run is told to stop with. SIGINT and SIGTERM do nothing there: they often go
// to the run and all its processes at once, and the run passes them on, so that each counts once.
inline constexpr int kStopWork = SIGUSR1;

// In such a process, instead of the above; kStopWork is blocked until then.
[[nodiscard]] const std::atomic<bool>& catch_stop_of_run();

}  // namespace extscrub
