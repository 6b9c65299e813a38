#include "cli/session/opened_image.h"

#include <fmt/format.h>

#include <filesystem>
#include <system_error>
#include <utility>

#include "cli/sandbox/sandbox.h"
#include "cli/session/failure.h"
#include "cli/text/escape.h"
#include "scan/image/temporary_file.h"

namespace extscrub {

namespace {

void note(const Environment& environment, const std::string& path, const std::string& text) {
  environment.err << fmt::format("extscrub: {}: {}\n", escape(path), escape(text)) << std::flush;
}

// Gives up all rights but those to what the audit reads: of a virtual disk, that is what the helper programs serve.
void confine(Input& input, const Options& options, const Environment& environment, const std::string& path) {
  const auto say = [&](const std::string& what) {
    if (options.verbose) note(environment, path, "sandbox: " + what);
  };
  if (input.disk)
    if (const auto left = input.disk->leave_programs(); !left) return say(text_of(left.error()));
  constexpr uint64_t kSmall = uint64_t{64} << 20;  // bytes; what is staged over less fits into memory
  std::error_code error;
  if (std::filesystem::file_size(input.path, error) > kSmall || error) reserve_unnamed_file(temporary_directory());
  SandboxRules rules;
  for (const std::string& file :
       {input.path, input.disk ? std::string() : path, options.journal, options.bad_blocks, options.ddrescue_map})
    if (!file.empty()) rules.read.push_back(file);
  for (const std::string& missing : enter_sandbox(rules)) say(missing);
}

}  // namespace

OpenedImage::OpenedImage(const std::string& path, const Options& options, const Environment& environment) {
  failure_.path = path;
  guard(failure_, [&] {
    if (open(options.access == Access::put_back ? Opening::writing : Opening::reading, options, environment))
      find_its_targets(options, environment);
  });
}

bool OpenedImage::open(Opening opening, const Options& options, const Environment& environment) {
  input_.reset();
  auto input = open_input(failure_.path, opening, options, environment);
  if (!input) {
    input.error().kind == ErrorKind::cancelled ? cancel(failure_) : fail(failure_, input.error());
    return false;
  }
  input_.emplace(std::move(*input));
  return true;
}

void OpenedImage::find_its_targets(const Options& options, const Environment& environment) {
  if (options.verbose)
    for (const std::string& text : input_->notes) note(environment, failure_.path, text);
  if (environment.confine) confine(*input_, options, environment, failure_.path);
  if (options.access == Access::put_back) {  // the log says where in the image
    targets_.emplace_back();
    return;
  }
  auto targets = find_targets(input_->path, options);
  if (targets)
    targets_ = std::move(*targets);
  else
    fail(failure_, targets.error());
}

ImageReport OpenedImage::report_of(const Target& target) const {
  ImageReport report;
  report.path = failure_.path;
  report.partition = target.partition;
  report.opened = input_ ? input_->path : failure_.path;
  report.read_only = input_ && input_->read_only;
  report.offset = target.offset;
  report.length = target.length;
  report.partition_type = target.type;
  report.holds = target.holds;
  if (input_ && !input_->warning.empty()) report.warnings.push_back(input_->warning);
  report.warnings.insert(report.warnings.end(), target.warnings.begin(), target.warnings.end());
  return report;
}

// What becomes of the programs that served it for reading does not matter: nothing was written.
void OpenedImage::open_for_writing(const Options& options, const Environment& environment) {
  (void)close();
  guard(failure_, [&] { (void)open(Opening::writing, options, environment); });
}

Result<void> OpenedImage::close() { return input_ ? input_->close() : Result<void>(); }

}  // namespace extscrub
