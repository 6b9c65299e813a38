// Where the work on an image tells how far it has come: in the same process to the run itself, in a process of its own
// to a channel to the run. One thread at a time.
#pragma once

#include <filesystem>

#include "cli/report/report.h"

namespace extscrub {

class ReportSink {
 public:
  virtual ~ReportSink() = default;

  // The work on one of the image's targets begins: number `index` of `count`. `begun` has its path and place.
  virtual void begin(size_t index, size_t count, const ImageReport& begun) = 0;
  // The first byte may be written from now on. `undo_log`: where the old bytes are saved first; empty: nowhere.
  virtual void writing(const std::filesystem::path& undo_log) = 0;
  // The target that was begun is done.
  virtual void add(ImageReport report) = 0;
  // All targets are done, but what was written may not be there.
  virtual void close_failed(const Error& error) = 0;
};

}  // namespace extscrub
