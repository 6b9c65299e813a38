#include "cli/session/image_run.h"

#include <chrono>
#include <optional>
#include <utility>

#include "cli/isolation/isolation.h"
#include "cli/process/exit_status.h"
#include "cli/report/report_writer.h"
#include "cli/session/failure.h"
#include "cli/session/opened_image.h"

namespace extscrub {

namespace {

// Of one image, in this process.
class Collected : public ReportSink {
 public:
  void begin(size_t, size_t, const ImageReport&) override {}
  void writing(const std::filesystem::path&) override {}
  void add(ImageReport report) override { reports.push_back(std::move(report)); }
  void close_failed(const Error& error) override {
    for (ImageReport& report : reports) take_close_failure(report, error);
  }

  std::vector<ImageReport> reports;  // of targets: the last word on them is said when all are done
};

void take_not_audited(ImageReport& report, const Target& target) {
  report.verdict = Verdict::not_audited;
  report.not_audited = target.not_audited;
  if (target.exit_status != kExitOk) report.error = Error{target.not_audited};
}

// One image, as far as a process can do it: opened, and its targets from number `first` on worked on.
class ImageRun {
 public:
  ImageRun(const std::string& path, const Options& options, const ImageWork& work) : path_(path), options_(options), work_(work) {
    if (options.timeout.count() > 0) deadline_ = std::chrono::steady_clock::now() + options.timeout;
  }

  void operator()(size_t first, const Environment& given, ReportSink& sink) const {
    Environment environment = given;
    if (given.confine)  // who uses the image is asked while the rest of the machine can be seen
      environment.engine.in_use = [answer = given.engine.in_use(path_)](const auto&...) { return answer; };
    OpenedImage image(path_, options_, environment);
    const size_t count = image.targets().size();
    if (count == 0) {
      sink.begin(0, 1, image.failure());
      sink.add(image.failure());
    }
    ConsoleProgress progress(environment, is_on(options_.progress, environment.err_is_terminal));
    if (deadline_) progress.set_deadline(*deadline_);
    for (size_t i = first; i < count; ++i) {
      const Target& target = image.targets()[i];
      sink.begin(i, count, image.report_of(target));
      sink.add(do_target(target, image, environment, progress));
    }
    if (const auto closed = image.close(); !closed) sink.close_failed(closed.error());
  }

 private:
  ImageReport do_target(const Target& target, OpenedImage& image, const Environment& environment,
                        ConsoleProgress& progress) const {
    ImageReport report = image.report_of(target);
    if (target.not_audited.empty())
      work_on(report, target, image, environment, progress);
    else
      take_not_audited(report, target);
    report.exit_status |= target.exit_status;
    return report;
  }

  void work_on(ImageReport& report, const Target& target, OpenedImage& image, const Environment& environment,
               ConsoleProgress& progress) const {
    fill(report, image, environment, progress);
    if (!report.needs_writing) return;
    image.open_for_writing(options_, environment);
    report = image.report_of(target);
    fill(report, image, environment, progress);
  }

  void fill(ImageReport& report, const OpenedImage& image, const Environment& environment, ConsoleProgress& progress) const {
    if (!image.is_open()) {
      report.verdict = image.failure().verdict;
      report.exit_status = image.failure().exit_status;
      report.error = image.failure().error;
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

}  // namespace

std::vector<ImageReport> run_image(const std::string& path, const Options& options, const Environment& environment,
                                   const ImageWork& work) {
  Collected collected;
  const ImageRun run(path, options, work);
  if (options.isolate.value_or(environment.isolate))
    run_isolated(path, options, environment, run, collected);
  else
    run(0, environment, collected);
  return std::move(collected.reports);
}

}  // namespace extscrub
