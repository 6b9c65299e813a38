#include "cli/session.h"

#include <fmt/format.h>

#include <cerrno>
#include <new>
#include <sstream>
#include <system_error>

#include "cli/escape.h"
#include "cli/exit_status.h"
#include "cli/identify.h"
#include "cli/image_list.h"
#include "cli/report_writer.h"
#include "cli/targets.h"
#include "cli/unpack.h"
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

void fill_report(ImageReport& report, const Options& options, const Environment& environment, ConsoleProgress& progress,
                 const ImageWork& work) {
  progress.image(name_of(report));
  const auto began = std::chrono::steady_clock::now();
  guard(report, [&] { work(report, options, environment, progress); });
  report.timings.total = std::chrono::steady_clock::now() - began;
  progress.finish();
}

void cancel(ImageReport& report) {
  report.exit_status = kExitCancelled;
  report.error = "cancelled before the audit was over; nothing was written";
}

// What an image of the command line is for the run.
struct Opened {
  std::optional<UnpackedImage> copy;  // what is read, where the image is compressed
  std::vector<Target> targets;        // none: the image cannot be looked at, and `failure` says why
  ImageReport failure;
};

void open_targets(Opened& opened, const Options& options, const Environment& environment) {
  const std::string& path = opened.failure.path;
  if (options.command == Command::undo) {  // the log says where in the image
    opened.targets.emplace_back();
    return;
  }
  if (const auto compression = compression_of(path)) {
    if (options.command == Command::scrub) {
      fail(opened.failure, fmt::format("is compressed ({}), and a scrub writes in place: unpack it first", *compression));
      return;
    }
    auto copy = unpack(path, environment.stop);
    if (!copy) {
      copy.error().code == ECANCELED ? cancel(opened.failure) : fail(opened.failure, copy.error().message);
      return;
    }
    opened.copy.emplace(std::move(*copy));
  }
  auto targets = find_targets(opened.copy ? opened.copy->path() : path, options);
  if (targets)
    opened.targets = std::move(*targets);
  else
    fail(opened.failure, targets.error().message);
}

}  // namespace

int for_each_image(const Options& options, const Environment& environment, const ImageWork& work) {
  std::istringstream empty;
  const auto images = list_images(options, environment.in != nullptr ? *environment.in : empty);
  if (!images) {
    environment.err << fmt::format("extscrub: {}\n", escape(images.error().message));
    return images.error().code == 0 ? kExitUsage : kExitOperational;
  }
  ReportWriter writer(options, environment, *images);
  if (const int status = writer.open(); status != kExitOk) return status;
  ConsoleProgress progress(environment, is_on(options.progress, environment.err_is_terminal));
  int status = kExitOk;
  size_t done = 0;
  const auto add = [&](ImageReport report) {
    status |= report.exit_status;
    writer.add(std::move(report));
  };
  for (const std::string& path : *images) {
    if (environment.stopped()) break;
    Opened opened;
    opened.failure.path = path;
    guard(opened.failure, [&] { open_targets(opened, options, environment); });
    if (opened.targets.empty()) add(std::move(opened.failure));
    for (const Target& target : opened.targets) {
      ImageReport report;
      report.path = path;
      report.partition = target.partition;
      report.opened = opened.copy ? opened.copy->path() : path;
      report.offset = target.offset;
      report.length = target.length;
      fill_report(report, options, environment, progress, work);
      add(std::move(report));
    }
    ++done;
  }
  if (const size_t left = images->size() - done; left > 0) {
    environment.err << fmt::format("extscrub: cancelled; {} of {} images were not looked at\n", left, images->size());
    status |= kExitCancelled;
  }
  return status | writer.close();
}

int print_report(const std::string& text, const Options& options, const Environment& environment) {
  ReportWriter writer(options, environment, {});
  if (const int status = writer.open(); status != kExitOk) return status;
  return writer.write(text);
}

std::optional<Image> open_image(ImageReport& report, const Options& options) {
  auto image = Image::open(report.opened, report.offset, report.length);
  if (!image) {
    fail(report, image.error().message);
    return std::nullopt;
  }
  // Who names a superblock knows what to look for, and may be after what another file system has overwritten.
  if (!options.superblock) {
    if (auto what = foreign_file_system(*image)) {
      fail(report, std::move(*what));
      return std::nullopt;
    }
  }
  return std::move(*image);
}

std::optional<Image> open_journal_image(ImageReport& report, const Options& options) {
  auto image = Image::open(options.journal);
  if (image) return std::move(*image);
  fail(report, "the journal: " + image.error().message);
  return std::nullopt;
}

void report_failure(ImageReport& report, const Image& image, const Error& error) {
  if (error.code == ECANCELED) return cancel(report);
  // There is a superblock to go by whenever an errno is the reason; then the table is none.
  const auto table = error.code == 0 ? find_partitions(image) : std::nullopt;
  fail(report, table ? describe(*table) : error.message);
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
