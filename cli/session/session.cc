#include "cli/session/session.h"

#include "cli/disk/identify.h"
#include "cli/disk/image_kind.h"
#include "cli/input/unreadable_files.h"
#include "cli/report/report_writer.h"
#include "cli/session/failure.h"
#include "cli/text/escape.h"
#include "writeback/mark/sidecar.h"

namespace extscrub {

namespace {

void limit_rate(Image& image, const Options& options, const Environment& environment) {
  if (options.max_rate > 0) image.limit_rate(std::make_shared<RateLimit>(options.max_rate, environment.stop));
}

}  // namespace

int print_report(const std::string& text, const Options& options, const Environment& environment) {
  ReportWriter writer(options, environment);
  if (const int status = writer.open(); status != kExitOk) return status;
  return writer.write(text);
}

std::optional<Image> open_image(ImageReport& report, const Options& options, const Environment& environment) {
  auto image = Image::open(report.opened, report.offset, report.length);
  if (!image) {
    fail(report, image.error());
    return std::nullopt;
  }
  limit_rate(*image, options, environment);
  // Who names a superblock knows what to look for, and may be after what another file system has overwritten.
  if (!options.superblock) {
    if (auto what = foreign_file_system(*image)) {
      fail(report, Error{std::move(*what), ErrorKind::no_superblock});
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
  fail(report, Error{"the journal: " + text_of(image.error())});
  return std::nullopt;
}

std::optional<UnreadableList> open_unreadable_list(ImageReport& report, const Options& options, const Environment& environment) {
  if (options.bad_blocks.empty() && options.ddrescue_map.empty()) return std::nullopt;
  const TextFileRules rules{.stop = environment.stop};
  auto list = options.bad_blocks.empty() ? read_ddrescue_map(options.ddrescue_map, rules)
                                         : read_bad_blocks_file(options.bad_blocks, options.bad_block_size.value_or(0), rules);
  if (list) return std::move(*list);
  list.error().kind == ErrorKind::cancelled ? cancel(report) : fail(report, list.error());
  return std::nullopt;
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
