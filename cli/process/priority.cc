#include "cli/process/priority.h"

#include <linux/ioprio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace extscrub {

Result<void> lower_priority() {
  Result<void> done;
  if (::setpriority(PRIO_PROCESS, 0, 19) != 0)
    done = std::unexpected(system_error("cannot lower the priority for the processor", errno));
  // The C library has no function for it.
  if (::syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0)) != 0)
    done = std::unexpected(system_error("cannot lower the priority for disks", errno));
  return done;
}

}  // namespace extscrub
