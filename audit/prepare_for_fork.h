// For a process that leaves its audits to others, which it forks. To be called while it has one thread.
#pragma once

namespace extscrub {

// Loads what the first audit of a process would, without starting a thread: the processes that are forked then need not.
void prepare_for_fork();

}  // namespace extscrub
