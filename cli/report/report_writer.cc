#include "cli/report/report_writer.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <syslog.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "cli/files/file_kind.h"
#include "cli/files/text_file.h"
#include "cli/process/exit_status.h"
#include "cli/report/affected.h"
#include "cli/report/metrics.h"
#include "cli/text/escape.h"

namespace extscrub {

namespace {

// `name`: what the line is about.
void print_message(const Environment& environment, const std::string& name, std::string_view message) {
  environment.err << fmt::format("extscrub: {}: {}\n", escape(name), escape(message)) << std::flush;
}

void print_messages(const Environment& environment, const ImageReport& report) {
  const std::string name = name_of(report);
  for (const std::string& warning : report.warnings) print_message(environment, name, "warning: " + warning);
  if (report.error) print_message(environment, name, text_beside(report.path, *report.error));
}

// What an earlier run has left in the file. A device or a descriptor of ours keeps nothing.
Result<std::string> old_metrics(const std::string& file) {
  struct stat st;
  if (descriptor_of(file) || ::stat(file.c_str(), &st) != 0 || S_ISCHR(st.st_mode)) return {};
  return read_text_file(file, "it");
}

TextStyle text_style(const Options& options, const Environment& environment) {
  const bool color = is_on(options.color, environment.out_is_terminal && !environment.no_color && options.output.empty());
  return {color, options.quiet, options.verbose};
}

}  // namespace

void log_to_system(int priority, const std::string& text) {
  ::openlog("extscrub", LOG_PID, LOG_DAEMON);
  ::syslog(priority, "%s", text.c_str());
}

bool is_on(When when, bool standard) { return when == When::always || (when == When::automatic && standard); }

int ReportWriter::open() {
  if (!options_.metrics.empty())
    if (const auto possible = OutputFile::may_replace(options_.metrics); !possible)
      return failed(options_.metrics, possible.error());
  if (const int status = open(options_.affected, affected_file_); status != kExitOk) return status;
  return open(options_.output, file_);
}

int ReportWriter::open(const std::string& name, std::optional<OutputFile>& file) const {
  if (name.empty()) return kExitOk;
  auto created = OutputFile::create(name);
  if (!created) return failed(name, created.error());
  file = std::move(*created);
  return kExitOk;
}

void ReportWriter::add(ImageReport report) {
  print_messages(environment_, report);
  remember_undo_log(report);
  if (affected_file_) take_affected(report);
  if (options_.syslog) {
    const bool success = (report.exit_status & ~kExitCorrected) == 0;
    environment_.log(success ? LOG_NOTICE : LOG_ERR, verdict_line(report));
  }
  if (options_.format == Format::text) {
    const std::string text = text_report(report, text_style(options_, environment_));
    if (file_)
      text_ += text;
    else
      print(text);
  }
  // All of it is asked for again only where the report is one document.
  if (options_.format != Format::text || !options_.metrics.empty()) run_.images.push_back(std::move(report));
}

bool ReportWriter::is_out() const { return options_.format == Format::text && !file_ && print_status_ == kExitOk; }

int ReportWriter::close() {
  run_.command = options_.command;
  const int status = write_affected() | write_metrics();
  switch (options_.format) {
    case Format::text: return status | write(text_);
    case Format::json: return status | write(json_report(run_));
    case Format::junit: return status | write(junit_report(run_));
  }
  return status;
}

int ReportWriter::write(std::string_view text) {
  if (file_) {
    if (const auto done = finish(*file_, text); !done) return failed(options_.output, done.error());
    return kExitOk;
  }
  print(text);
  return print_status_;
}

void ReportWriter::remember_undo_log(const ImageReport& report) {
  struct stat st;
  for (const std::string& log : {report.undo_log, report.writeback ? report.writeback->undo_file.native() : std::string()})
    if (!log.empty() && ::stat(log.c_str(), &st) == 0) undo_logs_.emplace_back(st.st_dev, st.st_ino);
}

// Names were compared before the run; somebody may have made links since.
Result<void> ReportWriter::finish(OutputFile& file, std::string_view text) const {
  struct stat st;
  if (!file.replaces().empty() && ::lstat(file.replaces().c_str(), &st) == 0 &&
      std::ranges::find(undo_logs_, std::pair(st.st_dev, st.st_ino)) != undo_logs_.end())
    return std::unexpected(Error{"it is the undo file of this run by now, and stays that; nothing is reported there"});
  return file.finish(text);
}

void ReportWriter::take_affected(const ImageReport& report) {
  affected_ += affected_lines(report);
  uint64_t past = 0;
  for (const FindingCount& c : report.past) past += c.count;
  if (past > 0)
    print_message(environment_, name_of(report),
                  fmt::format("warning: {} findings past --max-findings are not in {}", past, options_.affected));
}

int ReportWriter::write_affected() {
  if (!affected_file_) return kExitOk;
  const auto done = finish(*affected_file_, affected_);
  return done ? kExitOk : failed(options_.affected, done.error());
}

int ReportWriter::write_metrics() {
  if (options_.metrics.empty()) return kExitOk;
  const auto before = old_metrics(options_.metrics);
  if (!before) return failed(options_.metrics, before.error());
  auto file = OutputFile::create(options_.metrics);
  if (!file) return failed(options_.metrics, file.error());
  const auto done = finish(*file, metrics_text(run_, *before, std::chrono::system_clock::now()));
  return done ? kExitOk : failed(options_.metrics, done.error());
}

void ReportWriter::print(std::string_view text) {
  if (print_status_ != kExitOk) return;
  errno = 0;
  environment_.out << text << std::flush;
  if (environment_.out) return;
  print_status_ = kExitOperational;
  // Whoever reads only the beginning (| head) knows why there is no more.
  if (errno != EPIPE) environment_.err << "extscrub: cannot write the report to standard output\n";
}

int ReportWriter::failed(const std::string& file, const Error& error) const {
  print_message(environment_, file, text_beside(file, error));
  return kExitOperational;
}

}  // namespace extscrub
