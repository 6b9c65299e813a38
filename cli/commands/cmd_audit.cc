// extscrub audit: looks, reports, and never writes.
#include <fmt/format.h>

#include <algorithm>

#include "audit/promise.h"
#include "cli/commands/commands.h"
#include "cli/options/arguments.h"
#include "cli/options/option_groups.h"
#include "cli/process/exit_status.h"
#include "cli/session/session.h"

namespace extscrub {

namespace {

// Why the file that --journal names was of no use; empty when the file system's journal lies outside.
std::string_view why_no_journal_file(const AuditOptions& settings, const JournalFacts& facts) {
  if (!settings.replay) return "with --no-replay no journal is read";
  if (!facts.present) return "the file system has no journal";
  return facts.external ? "" : "the file system's journal is its own, in the image";
}

void audit_image(ImageReport& report, const Options& options, const Environment& environment, Progress& progress) {
  const auto image = open_image(report, options, environment);
  if (!image) return;
  if (const auto user = environment.engine.in_use(report.path))
    report.warnings.push_back(*user + "; what is found may only be a change that was under way");

  AuditOptions settings = audit_options(options, progress);
  settings.replay = !options.no_replay;
  std::optional<Image> journal;
  if (!options.journal.empty()) {
    journal = open_journal_image(report, options, environment);
    if (!journal) return;
    settings.journal = &*journal;
  }
  settings.data = options.data;
  settings.max_findings = options.max_findings;
  const auto unreadable = open_unreadable_list(report, options, environment);
  if (report.exit_status != kExitOk) return;
  if (unreadable) settings.unreadable = &*unreadable;
  auto audit = environment.engine.audit(*image, nullptr, settings);
  if (!audit) return report_failure(report, *image, audit.error());
  if (settings.journal)
    if (const std::string_view why = why_no_journal_file(settings, audit->recovery.journal); !why.empty())
      report.warnings.push_back(fmt::format("--journal {} was not used: {}", options.journal, why));
  // What a scrub will do is tried, not guessed.
  if (is_worth_trying(*audit))
    if (auto r = promise_repairs(*image, environment.engine.plan_repairs, audit_options(options, progress), audit->findings);
        !r && r.error().kind == ErrorKind::cancelled)
      return report_failure(report, *image, r.error());
  if (const auto changed = image->resized()) {
    report.verdict = Verdict::unreadable;
    report.exit_status = kExitOperational;
    report.error =
        Error{*changed + " while it was audited, so what was found says nothing. Audit it again once nobody changes it"};
    return;
  }
  report.info = std::move(audit->info);
  report.findings = std::move(audit->findings);
  report.past = std::move(audit->past);
  report.without_path = audit->without_path;
  if (std::ranges::find(report.findings, Problem::mmp_in_use, &Finding::problem) != report.findings.end())
    report.warnings.push_back(
        "multiple-mount protection says that another host uses it; what is found may only be a change that was under way");
  if (settings.replay) report.recovery = std::move(audit->recovery);
  report.statistics = audit->statistics;
  report.timings.audit = audit->statistics.seconds;
  report.verdict = audit->verdict;
  if (const auto sidecar = find_error_sidecar(report)) {
    // The image could not take the error mark, so it cannot be asked: the sidecar speaks for it.
    report.verdict = Verdict::errored;
    report.error =
        Error{fmt::format("{} tells that a write to this image failed; scrub it again once the cause is mended", *sidecar)};
  }
  report.exit_status = exit_status(*report.verdict, options.strict) | read_failure_status(report.findings, report.past);
}

void add_audit_options(CLI::App& app, Options& o) {
  add_image_options(app, o);
  app.add_flag("--strict", o.strict, "Exit 4 for a journal to replay and for partitions that were not audited, too");
  app.add_flag("--no-replay", o.no_replay, "Look at the image as it is stored, before any recovery");
  add_journal_option(app, o);
  const auto data = app.add_flag("--data", o.data, "Read the contents of files too");
  const auto bad_blocks =
      app.add_option("--bad-blocks", o.bad_blocks, "Instead of reading: the blocks that badblocks has listed in FILE");
  bad_blocks->type_name("FILE")->excludes(data);
  app.add_option("--bad-block-size", o.bad_block_size, "What the numbers of --bad-blocks count [the file system's blocks]")
      ->type_name("BYTES")
      ->needs(bad_blocks)
      ->check(must_be("a power of two from 512 to 65536",
                      [](const std::string& text) { return text == "512" || is_block_size(text); }));
  app.add_option("--ddrescue-map", o.ddrescue_map, "Instead of reading: what GNU ddrescue could not read, by its mapfile FILE")
      ->type_name("FILE")
      ->excludes(data)
      ->excludes(bad_blocks);
  app.callback([&o] {
    require_images(o);
    if (may_be_many(o) && !(o.bad_blocks.empty() && o.ddrescue_map.empty()))
      throw CLI::ValidationError("a list of what cannot be read is for one image");
  });
}

int run_audit(const Options& options, const Environment& environment) {
  return for_each_image(options, environment, audit_image);
}

}  // namespace

const Command kAuditCommand = {"audit", "Look for damage; never writes to an image", Access::read, add_audit_options, run_audit};

}  // namespace extscrub
