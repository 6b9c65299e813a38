// extscrub scrub: the repairs are staged and proven in memory, then committed under the image's lock.
//   open → no sidecar of a failed write → lock → stage and prove → (dry run ends here) → commit → verdict
// A virtual disk is open for reading up to there, and only where there is something to commit all is done again on a disk that
// is open for writing.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <tuple>

#include "audit/catalogue/finding_id.h"
#include "audit/run/block_names.h"
#include "cli/commands/commands.h"
#include "cli/commands/mmp_watch.h"
#include "cli/disk/image_kind.h"
#include "cli/input/plan_file.h"
#include "cli/input/undo_name.h"
#include "cli/options/arguments.h"
#include "cli/options/option_groups.h"
#include "cli/process/exit_status.h"
#include "cli/report/commit_text.h"
#include "cli/session/session.h"
#include "cli/text/hash.h"
#include "writeback/mark/sidecar.h"

namespace extscrub {

namespace {

// Not one byte was written, and the image was not audited.
void refuse(ImageReport& report, Error reason) {
  report.exit_status = kExitOperational;
  report.error = std::move(reason);
}

bool refused_by_sidecar(ImageReport& report, const std::optional<std::string>& sidecar, const Options& options) {
  if (!sidecar) return false;
  if (options.force) {
    report.warnings.push_back(fmt::format("going on although {} tells that an earlier write failed", *sidecar));
    return false;
  }
  refuse(report, Error{fmt::format("{} tells that an earlier scrub could not write to this image, nor mark it. Mend the cause "
                                   "(device, cable, full disk), then remove that file and scrub again, or use --force",
                                   *sidecar)});
  report.verdict = Verdict::errored;
  return true;
}

// What it tells is over: the image has been read whole, what had to be written was, and it is proven to be clean.
void remove_sidecar_of(ImageReport& report, const std::string& sidecar) {
  if (const int error = remove_sidecar(sidecar))
    report.warnings.push_back(text_of(file_error("cannot remove", sidecar, error)));
  else
    report.warnings.push_back(sidecar + " has been removed: the image is proven to be clean now");
}

// Who goes on may lose the way back to what the image was.
void warn_of_unfinished(ImageReport& report) {
  const auto logs = find_unfinished_undo_logs(report.path, report.opened, report.offset);
  if (logs.empty()) return;
  std::string text =
      fmt::format("an earlier scrub of this image did not come to its end; `{}` brings back what it was before that",
                  undo_command(logs.front().native(), report.path));
  for (size_t i = 1; i < logs.size(); ++i) text += fmt::format(", then `{}`", undo_command(logs[i].native(), report.path));
  report.warnings.push_back(std::move(text));
}

// What was staged is not going to be written, or could not be.
void settle(std::vector<Finding>& findings, RepairState state) {
  for (Finding& finding : findings)
    if (finding.repair == RepairState::staged) finding.repair = state;
}

// The log on another device would be put over what is repaired here.
bool needs_replay_from_device(const Audit& audit) { return audit.recovery.journal.external && audit.recovery.journal.flagged; }

RepairReport repair_report(const RepairPlan& plan, const std::vector<StagedBlock>& staged, const Options& options) {
  RepairReport repairs{options.repair, options.dry_run, plan.proven_clean, plan.rounds, plan.time, {}, plan.losses};
  for (const StagedBlock& block : staged)
    repairs.blocks.push_back({block.block, {}, hash_of(block.before), hash_of(block.after)});
  return repairs;
}

void take_audit(ImageReport& report, const RepairPlan& plan) {
  report.info = plan.before.info;
  report.findings = plan.before.findings;
  report.without_path = plan.before.without_path;
  report.recovery = plan.before.recovery;
  report.statistics = plan.before.statistics;
  report.verdict = plan.before.verdict;
  report.exit_status = exit_status(plan.before.verdict, false) | read_failure_status(plan.before.findings);
}

// What the last audit sees and the first could not, behind what has been repaired by now.
void add_new_findings(ImageReport& report, const Audit& after) {
  std::set<FindingId> known;
  for (const Finding& f : report.findings) known.insert(id_of(f));
  std::vector<Finding> added;
  for (const Finding& finding : after.findings)
    if (!known.contains(id_of(finding))) added.push_back(finding);
  std::ranges::move(added, std::back_inserter(report.findings));
  sort_findings(report.findings);
}

void take_committed(ImageReport& report, const RepairPlan& plan) {
  settle(report.findings, RepairState::made);
  add_new_findings(report, plan.after);
  if (plan.proven_clean)
    report.verdict = Verdict::repaired;
  else if (plan.after.verdict == Verdict::recoverable)
    report.verdict = Verdict::recoverable;
  else
    report.verdict = Verdict::damaged;
  report.exit_status = kExitCorrected | exit_status(*report.verdict, false) | read_failure_status(plan.after.findings);
}

// A commit that did not come to its end. An image that was armed says "not clean", whatever it holds.
void take_unfinished(ImageReport& report, const CommitReport& commit) {
  settle(report.findings, RepairState::left);
  report.error = error_of(commit, report.path, CommitPurpose::repair);
  switch (commit.outcome) {
    case CommitOutcome::committed:
    case CommitOutcome::nothing_to_do: break;
    case CommitOutcome::refused: report.exit_status |= kExitOperational; break;
    case CommitOutcome::cancelled:
      if (commit.armed) report.verdict = Verdict::damaged;
      report.exit_status = kExitCancelled | (commit.armed ? kExitOperational : kExitOk);
      if (!report.error)
        report.error =
            Error::cancelled(commit.armed ? "cancelled while repairs were written; the image says \"not clean\", scrub it again"
                                          : "cancelled; nothing was written");
      break;
    case CommitOutcome::errored:
      report.verdict = Verdict::errored;
      report.exit_status = kExitOperational;
      break;
  }
}

CommitRequest commit_request(const ImageReport& report, const Image& image, const RepairPlan& plan,
                             std::vector<StagedBlock> staged, const Options& options, Progress& progress) {
  CommitRequest request;
  request.path = report.path;
  request.opened = report.opened;
  request.offset = report.offset;
  request.block_size = plan.overlay->block_size();
  request.blocks = std::move(staged);
  request.waves = plan.waves;
  request.final_superblock = plan.final_superblock;
  request.journal_superblock = plan.journal_superblock;
  request.journal = plan.journal;
  request.way = options.way;
  if (!options.undo_file.empty())
    request.undo = UndoPlace{options.undo_file};
  else if (!options.no_undo)
    request.undo = default_undo_place(undo_name(report.path), std::chrono::system_clock::now());
  request.queue = options.queue;
  request.progress = &progress;
  request.file = image.identity();
  request.file_size = image.file_size();
  request.audited_superblock = plan.superblock;
  return request;
}

void write_repairs(ImageReport& report, const RepairPlan& plan, CommitRequest& request, const ImageLock& lock,
                   const Environment& environment) {
  StallWatch watch = watch_for(report, environment);
  request.waits = &watch;
  report.writeback = environment.engine.commit(request, lock);
  report.timings.writeback = report.writeback->seconds;
  if (report.writeback->outcome == CommitOutcome::committed)
    take_committed(report, plan);
  else
    take_unfinished(report, *report.writeback);
}

// Says whose each block is. Only a dry run is worth the look through all inodes that this takes.
void add_names(std::vector<BlockChange>& changes, const RepairPlan& plan, const std::vector<StagedBlock>& staged,
               const AuditOptions& options) {
  const auto names = name_blocks(*plan.overlay, staged, options);
  if (!names) return;
  for (size_t i = 0; i < changes.size(); ++i) changes[i].what = (*names)[i];
}

bool refused_as_cut_short(ImageReport& report) {
  const auto cut = std::ranges::find(report.findings, Problem::image_truncated, &Finding::problem);
  if (cut == report.findings.end()) return false;
  settle(report.findings, RepairState::left);
  report.exit_status |= kExitOperational;
  const auto [expected, found] = texts_of(cut->evidence);
  report.error =
      Error{fmt::format("the image is cut short, so nothing was written: it should have {}, and has {}", expected, found),
            ErrorKind::truncated};
  return true;
}

// What --plan names; nothing where none was given, or it cannot be read, and the report says so.
std::optional<ScrubPlan> read_asked_plan(ImageReport& report, const Image& image, const Options& options,
                                         const Environment& environment) {
  if (options.plan.empty()) return std::nullopt;
  auto read = read_plan(options.plan, report.path, {.stop = environment.stop});
  if (read) return std::move(*read);
  read.error().kind == ErrorKind::cancelled ? report_failure(report, image, read.error()) : refuse(report, read.error());
  return std::nullopt;
}

// Whether there is something to write, and it may be; the report says what stands against it.
bool is_to_be_written(ImageReport& report, const RepairPlan& plan, const std::optional<ScrubPlan>& asked,
                      const std::vector<StagedBlock>& staged, const Options& options) {
  if (needs_replay_from_device(plan.before)) {
    report.warnings.push_back(
        "nothing was written: the journal on the other device has to be replayed first. Mount the image once with it, or run "
        "`e2fsck -j DEVICE -E journal_only`, then scrub it again");
    return false;
  }
  report.repairs = repair_report(plan, staged, options);
  if (!asked) return !staged.empty();
  const std::string why = difference(*asked, report.repairs->blocks);
  if (!why.empty())
    refuse(report, Error{fmt::format("the plan does not fit the image any more: {}; nothing was written. Make a new plan", why)});
  return why.empty() && !staged.empty();
}

void scrub_image(ImageReport& report, const Options& given, const Environment& environment, Progress& progress) {
  const auto image = open_image(report, given, environment);
  if (!image) return;
  const auto sidecar = find_error_sidecar(report);
  if (refused_by_sidecar(report, sidecar, given)) return;
  const auto lock = lock_image(report, environment);
  if (!lock) return refuse(report, lock.error());
  if (lockable(report) == report.opened && lock->identity() != image->identity())
    return refuse(
        report, Error{.subject = report.path, .after = " was replaced by another file while it was opened; nothing was written"});
  warn_of_unfinished(report);

  std::optional<MmpClaim> mmp;
  if (!is_free_of_others(report, *image, given, environment, mmp)) return;

  Options options = given;
  AuditOptions settings = audit_options(options, progress);
  settings.overlay_memory = options.overlay_memory;
  settings.drop_unflagged = options.drop_unflagged;
  settings.restore_lost = options.restore_lost;
  const auto asked = read_asked_plan(report, *image, options, environment);
  if (!asked && !options.plan.empty()) return;
  if (asked) {
    options.repair = asked->policy;
    settings.now = asked->time;
  }
  const auto began = std::chrono::steady_clock::now();
  const auto plan = environment.engine.plan_repairs(*image, options.repair, settings);
  report.timings.audit = std::chrono::steady_clock::now() - began;
  if (!plan) return report_failure(report, *image, plan.error());
  take_audit(report, *plan);
  if (refused_as_cut_short(report)) return;

  std::vector<StagedBlock> staged;
  if (plan->overlay) staged = plan->overlay->staged();
  if (!is_to_be_written(report, *plan, asked, staged, options)) {
    settle(report.findings, RepairState::left);
    const bool is_sound = report.repairs && !report.error && staged.empty() && plan->proven_clean;
    if (sidecar && is_sound && !options.dry_run) remove_sidecar_of(report, *sidecar);
    return;
  }
  CommitRequest request = commit_request(report, *image, *plan, staged, options, progress);
  // A repair of the block itself comes with the others.
  const auto of_mmp = [&](const StagedBlock& block) { return mmp && block.block == mmp->block; };
  if (std::ranges::none_of(staged, of_mmp)) request.mmp = std::move(mmp);
  report.repairs->way = choose_way(request);
  if (options.dry_run) return add_names(report.repairs->blocks, *plan, staged, settings);
  if (report.read_only) {
    report.needs_writing = true;
    return;
  }
  if (environment.stopped()) {
    CommitReport cancelled;
    cancelled.outcome = CommitOutcome::cancelled;
    return take_unfinished(report, cancelled);
  }
  write_repairs(report, *plan, request, *lock, environment);
  if (sidecar && report.verdict == Verdict::repaired) remove_sidecar_of(report, *sidecar);
}

// Whatever becomes of the image: only its report is limited.
void limit_report(ImageReport& report, size_t most) {
  report.past = limit_findings(report.findings, most);
  const auto nameless = std::ranges::count_if(report.findings, [](const Finding& f) { return f.inode && f.path.empty(); });
  report.without_path = std::min(report.without_path, static_cast<uint64_t>(nameless));
}

constexpr auto kReplayWords = std::to_array<Word<bool>>({{"auto", false}, {"drop", true}});

void add_scrub_options(CLI::App& app, Options& o) {
  add_image_options(app, o);
  add_choice(app, "--repair", o.repair, "Which repairs to make");
  add_choice<bool>(app, "--journal-replay", o.drop_unflagged,
                   "With --repair=all, a log that is said not to be needed: replay it where that proves right, or drop it",
                   kReplayWords);
  app.add_flag("--restore-lost", o.restore_lost, "Put back from the journal also what only its age says to be lost");
  app.add_flag("-n,--dry-run", o.dry_run, "Stage and prove the repairs, but write nothing");
  app.add_option("--plan", o.plan, "Carry out the plan in FILE, the JSON report of a dry run, and nothing else")
      ->type_name("FILE");
  app.add_option_function<std::string>(
         "--overlay-memory", [&o](const std::string& text) { o.overlay_memory = size_in_bytes(text).value_or(0); },
         "Memory for staged blocks, before a temporary file takes them (suffixes K, M, G, T) [256M]")
      ->type_name("BYTES")
      ->check(must_be_size("a size such as 64M or 1G"));
  app.add_flag("--force", o.force,
               "Go on although IMAGE.extscrub-errored says that an earlier write failed, or MMP that another host uses it");
  const auto undo_file = app.add_option("--undo-file", o.undo_file, "Save the old bytes in FILE [IMAGE.extscrub-undo-TIME]");
  undo_file->type_name("FILE");
  app.add_flag("--no-undo", o.no_undo, "Do not save the old bytes")->excludes(undo_file);
  add_choice(app, "--commit", o.way, "Write all blocks as one transaction of the image's journal, or in place");
  add_queue_option(app, o);
  app.callback([&o] {
    require_images(o);
    if (may_be_many(o) && !o.undo_file.empty()) throw CLI::ValidationError("--undo-file is for one image");
  });
}

int run_scrub(const Options& options, const Environment& environment) {
  return for_each_image(options, environment,
                        [](ImageReport& report, const Options& o, const Environment& e, Progress& progress) {
                          scrub_image(report, o, e, progress);
                          limit_report(report, o.max_findings);
                        });
}

}  // namespace

const Command kScrubCommand = {"scrub", "Audit, and write the repairs that are proven to help", Access::repair, add_scrub_options,
                               run_scrub};

}  // namespace extscrub
