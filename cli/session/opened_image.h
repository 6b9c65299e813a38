// An image of the command line, open, with the file systems in it that are to be worked on. It stays open until the disk it
// is served as is closed. For one thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/input/input.h"
#include "cli/input/targets.h"
#include "cli/options/options.h"
#include "cli/process/environment.h"
#include "cli/report/report.h"

namespace extscrub {

class OpenedImage {
 public:
  // Never fails: an image that cannot be looked at has no targets, and `failure` says why. Where the environment asks for it,
  // this process gives up its rights to all other files.
  OpenedImage(const std::string& path, const Options& options, const Environment& environment);

  [[nodiscard]] const std::vector<Target>& targets() const { return targets_; }
  [[nodiscard]] bool is_open() const { return input_.has_value(); }
  [[nodiscard]] const ImageReport& failure() const { return failure_; }

  // An empty report of a target: its path and place, what is known of it, warnings.
  [[nodiscard]] ImageReport report_of(const Target& target) const;

  // Closes what was served for reading, and opens it for writing. It may not be open afterwards; then failure() says why.
  void open_for_writing(const Options& options, const Environment& environment);

  // Error: what was written may not be there.
  [[nodiscard]] Result<void> close();

 private:
  bool open(Opening opening, const Options& options, const Environment& environment);
  void find_its_targets(const Options& options, const Environment& environment);

  std::optional<Input> input_;
  std::vector<Target> targets_;
  ImageReport failure_;
};

}  // namespace extscrub
