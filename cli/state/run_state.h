// The state directory of a run (--state): the last result of each image, and with --resume how far a run has come that
// was stopped. Nothing in it is worth a failed audit: what cannot be read counts as not there, what cannot be written
// is lost, and both are worth a warning. Every file is replaced in whole and readable by its owner only; what is no regular
// file is left as it is. One thread; runs over different images may share a directory.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cli/options/options.h"
#include "cli/process/environment.h"
#include "cli/report/report.h"
#include "cli/state/state_directory.h"

namespace extscrub {

class RunState {
 public:
  // Makes the directory when it is not there. `images`: all of the run.
  RunState(const Options& options, const Environment& environment, std::span<const std::string> images);

  // A stopped run over the same images was done with this one, which has not changed since.
  [[nodiscard]] bool is_done(const std::string& image) const;

  // Reports of partitions that an earlier run has audited and that are not among those of this run, all of which `reports` are.
  // Nothing where not all of a disk was looked at, or some of it could not be.
  [[nodiscard]] std::vector<ImageReport> missed_partitions(const std::string& image, const std::vector<ImageReport>& reports);

  // Says in the report what has changed since the last one, and remembers what is to be kept of it. Where there was a file
  // system before and none is audited now, that is an error left.
  void take(ImageReport& report);
  // All of the image has been taken.
  void take_end(const std::string& image);

  // Stores what was taken. To be called when the reports are where somebody can read them, not before: a new finding
  // that nobody was told of must be new at the next run.
  void keep();

  // The run has come to its end: the next one begins with the first image.
  void finish();

 private:
  // Tells whether an image is still the one that was looked at.
  struct Stamp {
    uint64_t size = 0;  // bytes
    int64_t mtime = 0;  // nanoseconds since 1970
    bool operator==(const Stamp&) const = default;
  };

  [[nodiscard]] static Stamp stamp_of(const std::string& image);
  [[nodiscard]] static std::string result_file(const ImageReport& report);
  [[nodiscard]] static std::string disk_file(const std::string& image);
  void miss(ImageReport& report, int64_t audited) const;
  // By offset: the numbers. Nothing when that cannot be read.
  [[nodiscard]] std::optional<std::map<uint64_t, int>> load_partitions(const std::string& image) const;
  void load_progress();
  void keep_progress();
  void store(const std::string& file, const std::string& text);
  void warn(const std::filesystem::path& file, const std::string& message) const;  // `file`: empty for the directory

  const Environment& environment_;
  std::filesystem::path path_;  // of the directory
  std::optional<StateDirectory> directory_;  // nothing: no state is kept
  std::string progress_;  // a name in the directory; empty: without --resume
  bool all_of_disks_ = true;  // neither --partition nor --offset
  std::map<std::string, Stamp> done_;
  bool progress_changed_ = false;
  std::vector<std::pair<std::string, std::string>> results_;  // to be stored: file, text
};

}  // namespace extscrub
