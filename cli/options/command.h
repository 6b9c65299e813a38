// What a subcommand is: its name, its options, what it does with images, and the function that does it.
#pragma once

#include <string_view>

#include "cli/options/options.h"
#include "cli/process/environment.h"

namespace CLI {
class App;
}

namespace extscrub {

struct Command {
  std::string_view name, summary;
  Access access;
  void (*add_options)(CLI::App&, Options&);
  int (*run)(const Options&, const Environment&);  // prints to the environment's streams; returns the exit status
};

}  // namespace extscrub
