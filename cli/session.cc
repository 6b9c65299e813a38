#include "cli/session.h"

#include <fmt/format.h>

#include <cerrno>
#include <new>
#include <system_error>

#include "cli/escape.h"
#include "cli/exit_status.h"
#include "cli/identify.h"
#include "cli/output_file.h"
#include "cli/run_state.h"
#include "cli/unreadable_files.h"
#include "writeback/sidecar.h"

namespace extscrub {

namespace fs = std::filesystem;

namespace {

// "cannot open a.img: Permission denied" and "a.img is empty" without the name, which the line begins with already.
std::string without_name(std::string text, const std::string& name) {
  if (text.starts_with(name + " ")) return text.substr(name.size() + 1);
  const size_t object = text.starts_with("cannot ") ? text.find(' ', 7) : std::string::npos;
  if (object == std::string::npos || text.compare(object + 1, name.size(), name) != 0) return text;
  const size_t behind = object + 1 + name.size();
  if (behind < text.size() && (text[behind] == ' ' || text[behind] == ':')) text.erase(object, behind - object);
  return text;
}

void print_message(const Environment& environment, const std::string& path, std::string_view message) {
  const std::string name = escape(path);
  environment.err << fmt::format("extscrub: {}: {}\n", name, without_name(escape(message), name)) << std::flush;
}

void print_messages(const Environment& environment, const ImageReport& report) {
  for (const std::string& warning : report.warnings) print_message(environment, report.path, "warning: " + warning);
  if (!report.error.empty()) print_message(environment, report.path, report.error);
}

bool is_on(When when, bool standard) {
  return when == When::always || (when == When::automatic && standard);
}

TextStyle text_style(const Options& options, const Environment& environment) {
  const bool color =
      is_on(options.color, environment.out_is_terminal && !environment.no_color && options.output.empty());
  return {color, options.quiet, options.verbose};
}

// The report of a whole run, on its way out: text for standard output is printed image by image, the rest at the end.
class ReportWriter {
 public:
  ReportWriter(const Options& options, const Environment& environment) : options_(options), environment_(environment) {}

  // Nonzero: there is no place for the report, and nothing is to be done.
  [[nodiscard]] int open() {
    if (options_.output.empty()) return kExitOk;
    const auto in_the_way = [&](std::string_view what) {
      print_message(environment_, options_.output,
                    fmt::format("the report would replace {}; give --output another file", what));
      return kExitUsage;
    };
    std::error_code ignored;
    for (const std::string& image : options_.images)
      if (fs::equivalent(image, options_.output, ignored)) return in_the_way("an image");
    // A scrub's is not there yet, so that only its name can be compared.
    if (!options_.undo_file.empty() &&
        (fs::equivalent(options_.undo_file, options_.output, ignored) ||
         fs::weakly_canonical(options_.undo_file, ignored) == fs::weakly_canonical(options_.output, ignored)))
      return in_the_way("the undo file");
    auto file = OutputFile::create(options_.output);
    if (!file) return failed(file.error());
    file_ = std::move(*file);
    return kExitOk;
  }

  void add(ImageReport report) {
    print_messages(environment_, report);
    if (options_.format == Format::json) {
      run_.images.push_back(std::move(report));
      return;
    }
    const std::string text = text_report(report, text_style(options_, environment_));
    if (file_)
      text_ += text;
    else
      print(text);
  }

  // All that was added is where somebody can read it.
  [[nodiscard]] bool is_out() const {
    return options_.format == Format::text && !file_ && print_status_ == kExitOk;
  }

  [[nodiscard]] int close() {
    if (options_.format == Format::json) {
      run_.command = options_.command == Command::scrub  ? "scrub"
                     : options_.command == Command::undo ? "undo"
                                                         : "audit";
      text_ = json_report(run_, options_.verbose);
    }
    return write(text_);
  }

  [[nodiscard]] int write(std::string_view text) {
    if (file_) {
      if (const auto done = file_->finish(text); !done) return failed(done.error());
      return kExitOk;
    }
    print(text);
    return print_status_;
  }

 private:
  void print(std::string_view text) {
    if (print_status_ != kExitOk) return;
    errno = 0;
    environment_.out << text << std::flush;
    if (environment_.out) return;
    print_status_ = kExitOperational;
    // Whoever reads only the beginning (| head) knows why there is no more.
    if (errno != EPIPE) environment_.err << "extscrub: cannot write the report to standard output\n";
  }
  [[nodiscard]] int failed(const Error& error) {
    print_message(environment_, options_.output, error.message);
    return kExitOperational;
  }

  const Options& options_;
  const Environment& environment_;
  RunReport run_;
  std::string text_;
  int print_status_ = kExitOk;
  std::optional<OutputFile> file_;
};

void fail(ImageReport& report, std::string message) {
  report.verdict = Verdict::unreadable;
  report.exit_status = kExitOperational;
  report.error = std::move(message);
}

// One image may take more memory than there is; the others are still done.
ImageReport report_of(const std::string& path, const Options& options, const Environment& environment,
                      ConsoleProgress& progress, const ImageWork& work) {
  ImageReport report;
  report.path = path;
  report.offset = options.offset;
  progress.image(path);
  const auto began = std::chrono::steady_clock::now();
  try {
    work(report, options, environment, progress);
  } catch (const std::bad_alloc&) {
    fail(report, "there is not enough memory for this image");
  } catch (const std::exception& exception) {
    fail(report, fmt::format("internal error: {}", exception.what()));
  }
  report.timings.total = std::chrono::steady_clock::now() - began;
  progress.finish();
  return report;
}

void limit_rate(Image& image, const Options& options, const Environment& environment) {
  if (options.max_rate > 0) image.limit_rate(std::make_shared<RateLimit>(options.max_rate, environment.stop));
}

}  // namespace

int for_each_image(const Options& options, const Environment& environment, const ImageWork& work) {
  ReportWriter writer(options, environment);
  if (const int status = writer.open(); status != kExitOk) return status;
  if (options.nice)
    if (const auto lowered = environment.engine.lower_priority(); !lowered)
      environment.err << fmt::format("extscrub: warning: {}\n", lowered.error().message);
  ConsoleProgress progress(environment, is_on(options.progress, environment.err_is_terminal));
  RunState state(options, environment, options.images);
  int status = kExitOk;
  size_t done = 0, done_before = 0;
  for (const std::string& path : options.images) {
    if (environment.stopped()) break;
    if (state.is_done(path)) {
      ++done, ++done_before;
      continue;
    }
    ImageReport report = report_of(path, options, environment, progress, work);
    status |= report.exit_status;
    const bool whole = !(report.exit_status & kExitCancelled);
    state.take(report);
    if (whole) state.take_end(path);
    writer.add(std::move(report));
    if (writer.is_out()) state.keep();
    ++done;
  }
  if (const size_t left = options.images.size() - done; left > 0) {
    environment.err << fmt::format("extscrub: cancelled; {} of {} images were not looked at\n", left,
                                   options.images.size());
    status |= kExitCancelled;
  }
  if (done_before > 0 && !options.quiet)
    environment.err << fmt::format("extscrub: {} of {} images were done before the last run was stopped\n", done_before,
                                   options.images.size());
  const int closed = writer.close();
  if (closed == kExitOk) state.keep();
  if (closed == kExitOk && !(status & kExitCancelled)) state.finish();
  return status | closed;
}

int print_report(const std::string& text, const Options& options, const Environment& environment) {
  ReportWriter writer(options, environment);
  if (const int status = writer.open(); status != kExitOk) return status;
  return writer.write(text);
}

std::optional<Image> open_image(ImageReport& report, const Options& options, const Environment& environment) {
  auto image = Image::open(report.path, options.offset);
  if (!image) {
    fail(report, image.error().message);
    return std::nullopt;
  }
  limit_rate(*image, options, environment);
  // Who names a superblock knows what to look for, and may be after what another file system has overwritten.
  if (!options.superblock) {
    if (auto what = foreign_file_system(*image)) {
      fail(report, std::move(*what));
      return std::nullopt;
    }
  }
  return std::move(*image);
}

std::optional<Image> open_journal_image(ImageReport& report, const Options& options, const Environment& environment) {
  auto image = Image::open(options.journal);
  if (image) {
    limit_rate(*image, options, environment);
    return std::move(*image);
  }
  fail(report, "the journal: " + image.error().message);
  return std::nullopt;
}

std::optional<UnreadableList> open_unreadable_list(ImageReport& report, const Options& options) {
  if (options.bad_blocks.empty() && options.ddrescue_map.empty()) return std::nullopt;
  auto list = options.bad_blocks.empty() ? read_ddrescue_map(options.ddrescue_map)
                                         : read_bad_blocks_file(options.bad_blocks, options.bad_block_size.value_or(0));
  if (list) return std::move(*list);
  fail(report, list.error().message);
  return std::nullopt;
}

void report_failure(ImageReport& report, const Image& image, const Error& error) {
  if (error.code == ECANCELED) {
    report.exit_status = kExitCancelled;
    report.error = "cancelled before the audit was over; nothing was written";
    return;
  }
  // There is a superblock to go by whenever an errno is the reason; then the table is none.
  const auto table = error.code == 0 ? partition_table(image) : std::nullopt;
  fail(report, table ? *table : error.message);
}

std::optional<std::string> find_error_sidecar(const std::string& image) {
  const fs::path path = sidecar_path(image);
  std::error_code ignored;
  if (!fs::exists(fs::symlink_status(path, ignored))) return std::nullopt;
  return path.native();
}

AuditOptions audit_options(const Options& options, Progress& progress) {
  AuditOptions settings;
  settings.jobs = options.jobs;
  settings.superblock = options.superblock;
  settings.block_size = options.block_size;
  settings.progress = &progress;
  return settings;
}

}  // namespace extscrub
