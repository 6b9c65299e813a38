#include "audit/prepare_for_fork.h"

#include <tbb/global_control.h>
#include <tbb/parallel_for.h>

namespace extscrub {

void prepare_for_fork() {
  tbb::global_control alone(tbb::global_control::max_allowed_parallelism, 1);
  tbb::parallel_for(0, 1, [](int) {});
}

}  // namespace extscrub
