// extscrub history: what the journal still has of the past; never writes.
#include "cli/commands.h"
#include "cli/exit_status.h"
#include "cli/session.h"

namespace extscrub {

namespace {

void look_back_at(ImageReport& report, const Options& options, const Environment& environment, Progress& progress) {
  const auto image = open_image(report, options, environment);
  if (!image) return;
  if (const auto user = environment.engine.in_use(report.path))
    report.warnings.push_back(*user + "; its journal may be changing");
  AuditOptions settings = audit_options(options, progress);
  std::optional<Image> journal;
  if (!options.journal.empty()) {
    journal = open_journal_image(report, options, environment);
    if (!journal) return;
    settings.journal = &*journal;
  }
  PastRequest request;
  if (options.history_block) request.block = BlockNo(*options.history_block);
  if (options.history_inode) request.inode = InodeNo(*options.history_inode);
  request.path = options.history_path;
  auto past = look_back(*image, request, settings);
  if (!past) return report_failure(report, *image, past.error());
  report.history = std::move(*past);
  report.exit_status = kExitOk;
}

}  // namespace

int run_history(const Options& options, const Environment& environment) {
  return for_each_image(options, environment, look_back_at);
}

}  // namespace extscrub
