// The report of a whole run, on its way out: text for standard output is printed image by image, the rest at the end;
// messages go to standard error at once, metrics to their file at the end. One thread.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/files/output_file.h"
#include "cli/options/options.h"
#include "cli/process/environment.h"
#include "cli/report/report.h"

namespace extscrub {

// What an option of three words means, where `standard` is what "auto" stands for.
[[nodiscard]] bool is_on(When when, bool standard);

class ReportWriter {
 public:
  ReportWriter(const Options& options, const Environment& environment) : options_(options), environment_(environment) {}

  // Each returns an exit status; nonzero from open(): there is no place for the report, and nothing is to be done.
  [[nodiscard]] int open();
  void add(ImageReport report);
  [[nodiscard]] int close();

  // All that was added is where somebody can read it.
  [[nodiscard]] bool is_out() const;

  // Instead of add() and close(): a report that is a text already.
  [[nodiscard]] int write(std::string_view text);

 private:
  void remember_undo_log(const ImageReport& report);
  [[nodiscard]] Result<void> finish(OutputFile& file, std::string_view text) const;
  [[nodiscard]] int open(const std::string& name, std::optional<OutputFile>& file) const;
  void take_affected(const ImageReport& report);
  [[nodiscard]] int write_affected();
  [[nodiscard]] int write_metrics();
  void print(std::string_view text);
  [[nodiscard]] int failed(const std::string& file, const Error& error) const;

  const Options& options_;
  const Environment& environment_;
  std::vector<std::pair<dev_t, ino_t>> undo_logs_;  // that the run has made or read
  RunReport run_;
  std::string text_, affected_;
  int print_status_ = 0;
  std::optional<OutputFile> file_, affected_file_;
};

}  // namespace extscrub
