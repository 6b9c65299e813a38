// extscrub history: what the journal still has of the past; never writes.
#include "cli/commands/commands.h"
#include "cli/options/option_groups.h"
#include "cli/process/exit_status.h"
#include "cli/session/session.h"

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

void add_history_options(CLI::App& app, Options& o) {
  add_one_image(app, o);
  const auto block = app.add_option("--block", o.history_block, "Show every version that is left of block N");
  block->type_name("N")->check(must_be_number("a block number", 0, std::numeric_limits<uint64_t>::max()));
  const auto inode =
      app.add_option("--inode", o.history_inode, "Show every version of inode N, and of the metadata that belongs to it");
  inode->type_name("N")->excludes(block)->check(
      must_be_number("the number of an inode", 1, std::numeric_limits<uint32_t>::max()));
  app.add_option("--path", o.history_path, "The same for the inode at PATH in the file system")
      ->type_name("PATH")
      ->excludes(block)
      ->excludes(inode);
  add_report_options(app, o);
  add_journal_option(app, o);
  add_disk_options(app, o);
  add_unpack_option(app, o);
  add_jobs_option(app, o);
  add_progress_option(app, o);
  add_place_options(app, o);
  add_isolation_options(app, o);
}

int run_history(const Options& options, const Environment& environment) {
  return for_each_image(options, environment, look_back_at);
}

}  // namespace

const Command kHistoryCommand = {"history", "Show what the journal still has of the past; never writes to an image", Access::read,
                                 add_history_options, run_history};

}  // namespace extscrub
