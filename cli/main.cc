#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <string_view>

#include "cli/process/signals.h"
#include "cli/run.h"

namespace {

// The rules of no-color.org, and a terminal that knows no colours.
bool color_is_unwanted() {
  const char* no_color = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  return (no_color != nullptr && *no_color != '\0') || (terminal != nullptr && std::string_view(terminal) == "dumb");
}

}  // namespace

int main(int argc, char** argv) {
  const extscrub::Environment environment{.out = std::cout,
                                          .err = std::cerr,
                                          .out_is_terminal = ::isatty(STDOUT_FILENO) == 1,
                                          .err_is_terminal = ::isatty(STDERR_FILENO) == 1,
                                          .no_color = color_is_unwanted(),
                                          .stop = &extscrub::catch_stop_signals(),
                                          .isolate = true};
  return extscrub::run({argv + std::min(argc, 1), argv + argc}, environment);
}
