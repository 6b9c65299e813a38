#include "cli/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <new>
#include <system_error>

#include "audit/prepare_for_fork.h"
#include "cli/escape.h"
#include "cli/exit_status.h"
#include "cli/file_conflicts.h"
#include "cli/identify.h"
#include "cli/image_kind.h"
#include "cli/image_list.h"
#include "cli/input.h"
#include "cli/isolation.h"
#include "cli/report_writer.h"
#include "cli/run_state.h"
#include "cli/sandbox.h"
#include "cli/targets.h"
#include "cli/unreadable_files.h"
#include "scan/temporary_file.h"
#include "writeback/sidecar.h"

namespace extscrub {

namespace fs = std::filesystem;

namespace {

void fail(ImageReport& report, std::string message) {
  report.verdict = Verdict::unreadable;
  report.exit_status = kExitOperational;
  report.error = std::move(message);
}

// One image may take more memory than there is; the others are still done.
template <typename Work>
void guard(ImageReport& report, const Work& work) {
  try {
    work();
  } catch (const std::bad_alloc&) {
    fail(report, "there is not enough memory for this image");
  } catch (const std::exception& exception) {
    fail(report, fmt::format("internal error: {}", exception.what()));
  }
}

ImageReport report_of(const std::string& path, const std::optional<Input>& input, const Target& target) {
  ImageReport report;
  report.path = path;
  report.partition = target.partition;
  report.opened = input ? input->path : path;
  report.read_only = input && input->read_only;
  report.offset = target.offset;
  report.length = target.length;
  report.partition_type = target.type;
  report.holds = target.holds;
  if (input && !input->warning.empty()) report.warnings.push_back(input->warning);
  report.warnings.insert(report.warnings.end(), target.warnings.begin(), target.warnings.end());
  return report;
}

void take_not_audited(ImageReport& report, const Target& target) {
  report.verdict = Verdict::not_audited;
  report.not_audited = target.not_audited;
  if (target.exit_status != kExitOk) report.error = target.not_audited;
}

void cancel(ImageReport& report) {
  report.exit_status = kExitCancelled;
  report.error = "cancelled before the audit was over; nothing was written";
}

// What an image of the command line is for the run.
struct Opened {
  std::optional<Input> input;
  std::vector<Target> targets;  // none: the image cannot be looked at, and `failure` says why
  ImageReport failure;
};

// Gives up all rights but those to what the audit reads: of a virtual disk, that is what the helper programs serve.
void confine(Input& input, const Options& options, const Environment& environment, const std::string& path) {
  if (input.disk)
    if (const auto left = input.disk->leave_programs(); !left) {
      if (options.verbose) environment.err << fmt::format("extscrub: {}: sandbox: {}\n", escape(path), left.error().message) << std::flush;
      return;
    }
  constexpr uint64_t kSmall = uint64_t{64} << 20;  // bytes; what is staged over less fits into memory
  std::error_code error;
  if (fs::file_size(input.path, error) > kSmall || error) reserve_unnamed_file(temporary_directory());
  SandboxRules rules;
  for (const std::string& file : {input.path, input.disk ? std::string() : path, options.journal, options.bad_blocks, options.ddrescue_map})
    if (!file.empty()) rules.read.push_back(file);
  for (const std::string& missing : enter_sandbox(rules))
    if (options.verbose) environment.err << fmt::format("extscrub: {}: sandbox: {}\n", escape(path), missing) << std::flush;
}

// Nothing is open when that fails, and the failure says why.
bool open(Opened& opened, Opening opening, const Options& options, const Environment& environment) {
  opened.input.reset();
  auto input = open_input(opened.failure.path, opening, options, environment);
  if (!input) {
    input.error().code == ECANCELED ? cancel(opened.failure) : fail(opened.failure, input.error().message);
    return false;
  }
  opened.input.emplace(std::move(*input));
  return true;
}

void open_targets(Opened& opened, const Options& options, const Environment& environment) {
  if (!open(opened, options.access == Access::put_back ? Opening::writing : Opening::reading, options, environment)) return;
  if (options.verbose)
    for (const std::string& note : opened.input->notes)
      environment.err << fmt::format("extscrub: {}: {}\n", escape(opened.failure.path), escape(note));
  if (environment.confine) confine(*opened.input, options, environment, opened.failure.path);
  if (options.access == Access::put_back) {  // the log says where in the image
    opened.targets.emplace_back();
    return;
  }
  auto targets = find_targets(opened.input->path, options);
  if (targets)
    opened.targets = std::move(*targets);
  else
    fail(opened.failure, targets.error().message);
}

// The programs that pass the bytes on to a virtual disk did not come to a good end.
void take_close_failure(ImageReport& report, const Error& error) {
  if (!report.writeback || report.writeback->writes == 0) {
    report.warnings.push_back(error.message);
    return;
  }
  report.writeback->outcome = CommitOutcome::errored;
  if (report.undone) report.undone = false;
  report.verdict = Verdict::errored;
  report.exit_status = kExitOperational;
  report.error =
      fmt::format("it is not known whether all that was written is on the disk: {}. Audit it again", error.message);
}

// Of one image, in this process.
class Collected : public ReportSink {
 public:
  void begin(size_t, size_t, const ImageReport&) override {}
  void writing(const fs::path&) override {}
  void add(ImageReport report) override { reports.push_back(std::move(report)); }
  void close_failed(const Error& error) override {
    for (ImageReport& report : reports) take_close_failure(report, error);
  }

  std::vector<ImageReport> reports;  // of targets: the last word on them is said when all are done
};

// One image, as far as a process can do it: opened, and its targets from number `first` on worked on.
class ImageRun {
 public:
  ImageRun(const std::string& path, const Options& options, const ImageWork& work)
      : path_(path), options_(options), work_(work) {
    if (options.timeout.count() > 0) deadline_ = std::chrono::steady_clock::now() + options.timeout;
  }

  void operator()(size_t first, const Environment& given, ReportSink& sink) const {
    Environment environment = given;
    if (given.confine)  // who uses the image is asked while the rest of the machine can be seen
      environment.engine.in_use = [answer = given.engine.in_use(path_)](const auto&...) { return answer; };
    Opened opened;
    opened.failure.path = path_;
    guard(opened.failure, [&] { open_targets(opened, options_, environment); });
    if (opened.targets.empty()) {
      sink.begin(0, 1, opened.failure);
      sink.add(std::move(opened.failure));
    }
    ConsoleProgress progress(environment, is_on(options_.progress, environment.err_is_terminal));
    if (deadline_) progress.set_deadline(*deadline_);
    for (size_t i = first; i < opened.targets.size(); ++i) {
      const Target& target = opened.targets[i];
      ImageReport report = report_of(path_, opened.input, target);
      sink.begin(i, opened.targets.size(), report);
      if (!target.not_audited.empty()) {
        take_not_audited(report, target);
      } else {
        fill(report, opened, environment, progress);
        if (report.needs_writing) {
          open_for_writing(opened, environment);
          report = report_of(path_, opened.input, target);
          fill(report, opened, environment, progress);
        }
      }
      report.exit_status |= target.exit_status;
      sink.add(std::move(report));
    }
    if (opened.input)
      if (const auto closed = opened.input->close(); !closed) sink.close_failed(closed.error());
  }

 private:
  // What becomes of the programs that served it for reading does not matter: nothing was written.
  void open_for_writing(Opened& opened, const Environment& environment) const {
    (void)opened.input->close();
    guard(opened.failure, [&] { open(opened, Opening::writing, options_, environment); });
  }

  void fill(ImageReport& report, const Opened& opened, const Environment& environment, ConsoleProgress& progress) const {
    if (!opened.input) {
      report.verdict = opened.failure.verdict;
      report.exit_status = opened.failure.exit_status;
      report.error = opened.failure.error;
      return;
    }
    progress.image(name_of(report));
    const auto began = std::chrono::steady_clock::now();
    guard(report, [&] { work_(report, options_, environment, progress); });
    report.timings.total = std::chrono::steady_clock::now() - began;
    progress.finish();
    if ((report.exit_status & kExitCancelled) && progress.is_late() && !environment.stopped()) take_timeout(report, options_);
  }

  const std::string& path_;
  const Options& options_;
  const ImageWork& work_;
  std::optional<std::chrono::steady_clock::time_point> deadline_;
};

std::vector<ImageReport> reports_of(const std::string& path, const Options& options, const Environment& environment,
                                    const ImageWork& work) {
  Collected collected;
  const ImageRun run(path, options, work);
  if (options.isolate.value_or(environment.isolate))
    run_isolated(path, options, environment, run, collected);
  else
    run(0, environment, collected);
  return std::move(collected.reports);
}

void limit_rate(Image& image, const Options& options, const Environment& environment) {
  if (options.max_rate > 0) image.limit_rate(std::make_shared<RateLimit>(options.max_rate, environment.stop));
}

}  // namespace

int for_each_image(const Options& options, const Environment& environment, const ImageWork& work) {
  const auto images = list_images(options, environment.in, environment.stop);
  if (!images) {
    environment.err << fmt::format("extscrub: {}\n", escape(images.error().message));
    if (images.error().code == ECANCELED) return kExitCancelled;
    return images.error().code == 0 ? kExitUsage : kExitOperational;
  }
  if (const auto differ = check_files_differ(options, *images); !differ) {
    environment.err << fmt::format("extscrub: {}\n", differ.error().message);
    return kExitUsage;
  }
  ReportWriter writer(options, environment);
  if (const int status = writer.open(); status != kExitOk) return status;
  if (options.nice)
    if (const auto lowered = environment.engine.lower_priority(); !lowered)
      environment.err << fmt::format("extscrub: warning: {}\n", lowered.error().message);
  RunState state(options, environment, *images);
  if (environment.isolate) prepare_for_fork();
  int status = kExitOk;
  size_t done = 0, done_before = 0;
  for (const std::string& path : *images) {
    if (environment.stopped()) break;
    if (state.is_done(path)) {
      ++done, ++done_before;
      continue;
    }
    bool whole = true;  // none of its targets was cancelled
    std::vector<ImageReport> reports = reports_of(path, options, environment, work);
    std::ranges::move(state.missed_partitions(path, reports), std::back_inserter(reports));
    for (ImageReport& report : reports) {
      state.take(report);
      status |= report.exit_status;
      whole = whole && !(report.exit_status & kExitCancelled);
      writer.add(std::move(report));
    }
    if (whole) state.take_end(path);
    if (writer.is_out()) state.keep();
    ++done;
  }
  if (const size_t left = images->size() - done; left > 0) {
    environment.err << fmt::format("extscrub: cancelled; {} of {} images were not looked at\n", left, images->size());
    status |= kExitCancelled;
  }
  if (done_before > 0 && !options.quiet)
    environment.err << fmt::format("extscrub: {} of {} images were done before the last run was stopped\n", done_before,
                                   images->size());
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
  auto image = Image::open(report.opened, report.offset, report.length);
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

std::optional<UnreadableList> open_unreadable_list(ImageReport& report, const Options& options,
                                                   const Environment& environment) {
  if (options.bad_blocks.empty() && options.ddrescue_map.empty()) return std::nullopt;
  const TextFileRules rules{.stop = environment.stop};
  auto list = options.bad_blocks.empty() ? read_ddrescue_map(options.ddrescue_map, rules)
                                         : read_bad_blocks_file(options.bad_blocks, options.bad_block_size.value_or(0), rules);
  if (list) return std::move(*list);
  list.error().code == ECANCELED ? cancel(report) : fail(report, list.error().message);
  return std::nullopt;
}

void report_failure(ImageReport& report, const Image& image, const Error& error) {
  if (error.code == ECANCELED) return cancel(report);
  // There is a superblock to go by whenever an errno is the reason; then the table is none.
  const auto table = error.code == 0 && !has_ext_magic(image) ? find_partitions(image) : std::nullopt;
  fail(report, table ? describe(*table) : error.message);
}

Result<ImageLock> lock_image(const ImageReport& report, const Environment& environment) {
  const bool served = report.opened != report.path;
  return served ? environment.engine.lock_served(lockable(report)) : environment.engine.lock(lockable(report));
}

const std::string& lockable(const ImageReport& report) { return is_nbd_uri(report.path) ? report.opened : report.path; }

std::optional<std::string> find_error_sidecar(const ImageReport& report) {
  FileSystemId id{};
  if (const auto image = Image::open(report.opened, report.offset, report.length))
    (void)image->read(kSuperblockOffset + offsetof(ext2_super_block, s_uuid), id);
  const auto path = find_sidecar(report.path, id);
  return path ? std::optional(path->native()) : std::nullopt;
}

StallWatch watch_for(const ImageReport& report, const Environment& environment) {
  const auto say = [&environment](const std::string& line) {
    environment.err << (environment.err_is_terminal ? "\r\033[K" : "") << line << std::flush;
  };
  return {escape(name_of(report)), say, [&environment] { return environment.stopped(); }};
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
