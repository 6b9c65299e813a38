// JSON, schema extscrub/1. Keys are never left out: what is not known is null, so that a script need not ask whether a
// key is there. A key may be added; none changes its meaning within a schema.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "audit/rules/root_causes.h"
#include "cli/options/words.h"
#include "cli/report/commit_text.h"
#include "cli/report/coverage.h"
#include "cli/report/history_report.h"
#include "cli/report/report.h"
#include "cli/text/escape.h"
#include "cli/text/units.h"
#include "version.h"

namespace extscrub {

namespace {

using Json = nlohmann::ordered_json;

template <class N>
Json number_or_null(const std::optional<N>& number) {
  if (!number) return nullptr;
  if constexpr (std::is_integral_v<N>)
    return *number;
  else
    return number->value;
}

Json text_or_null(std::string_view text) { return text.empty() ? Json(nullptr) : Json(as_utf8(text)); }

Json json_of(const Finding& f, const std::optional<ImageInfo>& image) {
  const ProblemInfo& problem = info(f.problem);
  const auto [expected, found] = texts_of(f.evidence);
  const auto bytes = image ? bytes_of(f, *image) : std::nullopt;
  return {{"code", problem.code},
          {"severity", name(problem.severity)},
          {"message", problem.message},
          {"group", number_or_null(f.group)},
          {"inode", number_or_null(f.inode)},
          {"path", text_or_null(f.path)},
          {"block", number_or_null(f.block)},
          {"block_count", f.block ? Json(f.block_count) : Json(nullptr)},
          {"first_byte", bytes ? Json(bytes->first) : Json(nullptr)},
          {"end_byte", bytes ? Json(bytes->end) : Json(nullptr)},
          {"logical", number_or_null(f.logical)},
          {"field", text_or_null(f.field)},
          {"expected", text_or_null(expected)},
          {"found", text_or_null(found)},
          {"repair_class", name(problem.repair)},
          {"remedy", text_or_null(word_of(f.remedy))},
          {"repair", name(f.repair)}};
}

Json json_of(const FindingCount& c) {
  return {{"code", info(c.problem).code},
          {"severity", name(info(c.problem).severity)},
          {"repair", name(c.repair)},
          {"count", c.count}};
}

Json geometry_of(const ImageInfo& i) {
  return {{"block_size", i.block_size},
          {"cluster_size", i.cluster_size},
          {"blocks", i.blocks},
          {"inodes", i.inodes},
          {"inode_size", i.inode_size},
          {"groups", i.groups},
          {"superblock", i.superblock_block}};
}

Json json_of(const BlockChange& change) {
  return {{"block", change.block.value}, {"what", change.what}, {"before", change.before}, {"after", change.after}};
}

Json json_of(const Loss& loss) {
  Json json = {{"code", info(loss.problem).code}, {"inode", nullptr},   {"path", text_or_null(loss.path)}, {"what", loss.what},
               {"first_byte", nullptr},           {"end_byte", nullptr}};
  if (loss.inode) json["inode"] = loss.inode.value;
  if (loss.bytes) {
    json["first_byte"] = loss.bytes->first;
    json["end_byte"] = loss.bytes->end;
  }
  return json;
}

// The blocks of the log, as runs: they follow each other but where the log wraps round or lies in pieces.
Json json_of(const WayChoice& way) {
  Json log = Json::array();
  for (const BlockNo block : way.log) {
    if (!log.empty() && block.value == log.back()["block"].get<uint64_t>() + log.back()["count"].get<uint64_t>())
      log.back()["count"] = log.back()["count"].get<uint64_t>() + 1;
    else
      log.push_back({{"block", block.value}, {"count", 1}});
  }
  return {{"way", way.journal ? "journal" : "direct"}, {"why_direct", text_or_null(way.why_direct)}, {"log", std::move(log)}};
}

Json json_of(const RepairReport& r) {
  Json blocks = Json::array(), losses = Json::array();
  for (const Loss& loss : r.losses) losses.push_back(json_of(loss));
  for (const BlockChange& change : r.blocks) blocks.push_back(json_of(change));
  return {{"policy", word_of(r.policy)},
          {"dry_run", r.dry_run},
          {"rounds", r.rounds},
          {"time", r.time},
          {"proven_clean", r.proven_clean},
          {"losses", std::move(losses)},
          {"blocks", std::move(blocks)},
          {"commit", r.way ? json_of(*r.way) : Json(nullptr)}};
}

Json json_of(const Receipt& r) {
  return {{"block", r.block.value},
          {"kind", word_of(r.kind)},
          {"xxh3_before", fmt::format("{:016x}", r.before_hash)},
          {"xxh3_after", fmt::format("{:016x}", r.after_hash)},
          {"submitted", r.submitted},
          {"completed", r.completed},
          {"read_back", r.read_back},
          {"error", r.error},
          {"flush", r.flush == 0 ? Json(nullptr) : Json(r.flush)}};
}

Json undo_file_of(const ImageReport& image) {
  const CommitReport& c = *image.writeback;
  const bool kept = c.undo == UndoLogState::kept;
  return {{"state", word_of(c.undo)},
          {"file", text_or_null(c.undo_file.native())},
          {"bytes", kept ? Json(c.undo_bytes) : Json(nullptr)},
          {"command", kept ? text_or_null(undo_command(image)) : Json(nullptr)}};
}

Json json_of_writeback(const ImageReport& image) {
  const CommitReport& c = *image.writeback;
  Json json = {{"outcome", word_of(c.outcome)},
               {"message", text_or_null(text_of(c, image.path, image.undone ? CommitPurpose::undo : CommitPurpose::repair))},
               {"error", c.error()},
               {"error_block", number_or_null(c.error_block())},
               {"failures", c.failures()},
               {"way", c.through_journal ? "journal" : "direct"},
               {"why_direct", text_or_null(c.why_direct)},
               {"log_blocks", c.log_blocks},
               {"logged", c.logged},
               {"armed", c.armed},
               {"marked", c.marked},
               {"sidecar", text_or_null(c.sidecar.native())},
               {"undo", undo_file_of(image)},
               {"queue", word_of(c.queue)},
               {"direct_io", c.direct_io},
               {"blocks_written", c.blocks_written},
               {"bytes_written", c.bytes_written},
               {"writes", c.writes},
               {"flushes", c.flushes}};
  Json& receipts = json["receipts"] = Json::array();
  for (const auto* each : {&c.receipts, &c.superblock_receipts})
    for (const Receipt& receipt : *each) receipts.push_back(json_of(receipt));
  return json;
}

Json json_of(const Recovery& r) {
  return {{"needs_recovery", r.journal.flagged},        {"replayed", r.replayed},
          {"transactions", r.journal.transactions},     {"blocks", r.journal.replayed_blocks},
          {"revoked_blocks", r.journal.revoked_blocks}, {"fast_commits", r.journal.fast_commit_tags},
          {"orphans_listed", r.orphans.listed},         {"orphans_released", r.orphans.deleted + r.orphans.truncated}};
}

Json json_of(const AuditStatistics& s) {
  return {{"inodes_in_use", s.inodes_in_use},
          {"directories", s.directories},
          {"blocks_in_use", s.blocks_in_use},
          {"bytes_read", s.bytes_read},
          {"journal_history",
           {{"transactions", s.history.transactions},
            {"since", s.history.since ? Json(utc(s.history.since)) : Json(nullptr)},
            {"compared", s.history.compared}}}};
}

// null: not known; empty: all that is in use was verified.
Json coverage_json(const ImageReport& image) {
  if (!image.info || !image.statistics) return nullptr;
  Json json = Json::array();
  for (const Coverage& c : coverage_of(image.findings, *image.info, *image.statistics))
    json.push_back({{"structure", c.structure}, {"unit", c.unit}, {"total", number_or_null(c.total)}, {"unread", c.unread}});
  return json;
}

Json findings_of(const ImageReport& image) {
  Json findings = Json::array();
  const bool compared = image.changes && !image.changes->is_new.empty();
  const auto causes = root_causes(image.findings, blocks_per_cluster(image));
  for (size_t i = 0; i < image.findings.size(); ++i) {
    Json json = json_of(image.findings[i], image.info);
    json["new"] = compared ? Json(bool{image.changes->is_new[i]}) : Json(nullptr);
    json["caused_by"] = number_or_null(causes[i]);
    findings.push_back(std::move(json));
  }
  return findings;
}

Json json_of(const Changes& changes, const std::optional<ImageInfo>& info) {
  Json gone = Json::array();
  for (const Finding& finding : changes.gone) gone.push_back(json_of(finding, info));
  return {{"since", utc(changes.since)},
          {"verdict", name(changes.verdict)},
          {"new", std::ranges::count(changes.is_new, true)},
          {"gone", std::move(gone)}};
}

Json json_of(const ImageReport& image) {
  Json json = {{"path", as_utf8(image.path)}, {"offset", image.offset}};
  json["partition"] = image.partition == 0 ? Json(nullptr) : Json(image.partition);
  json["partition_type"] = text_or_null(image.partition_type);
  json["holds"] = text_or_null(image.holds);
  json["not_audited"] = text_or_null(image.not_audited);
  json["uuid"] = image.info ? text_or_null(image.info->uuid) : Json(nullptr);
  json["label"] = image.info ? Json(as_utf8(image.info->label)) : Json(nullptr);
  json["features"] = image.info ? Json(image.info->features) : Json(nullptr);
  json["geometry"] = image.info ? geometry_of(*image.info) : Json(nullptr);
  json["verdict"] = image.verdict ? Json(name(*image.verdict)) : Json(nullptr);
  json["exit_status"] = image.exit_status;
  json["error"] = text_or_null(error_of(image));
  json["warnings"] = Json::array();
  for (const std::string& warning : image.warnings) json["warnings"].push_back(as_utf8(warning));
  json["recovery"] = image.recovery ? json_of(*image.recovery) : Json(nullptr);
  json["findings"] = findings_of(image);
  json["findings_past_limit"] = Json::array();
  for (const FindingCount& c : image.past) json["findings_past_limit"].push_back(json_of(c));
  json["findings_without_path"] = image.without_path;
  json["coverage"] = coverage_json(image);
  json["changes"] = image.changes ? json_of(*image.changes, image.info) : Json(nullptr);
  json["repairs"] = image.repairs ? json_of(*image.repairs) : Json(nullptr);
  json["writeback"] = image.writeback ? json_of_writeback(image) : Json(nullptr);
  json["undo_file"] = text_or_null(image.undo_log);
  json["undone"] = image.undone ? Json(*image.undone) : Json(nullptr);
  json["history"] = image.history ? json_of(*image.history) : Json(nullptr);
  json["statistics"] = image.statistics ? json_of(*image.statistics) : Json(nullptr);
  json["timings"] = {{"audit_seconds", image.timings.audit.count()},
                     {"writeback_seconds", image.timings.writeback.count()},
                     {"total_seconds", image.timings.total.count()}};
  return json;
}

Json json_of(const ProblemInfo& problem) {
  return {{"code", problem.code},
          {"severity", name(problem.severity)},
          {"repair_class", name(problem.repair)},
          {"message", problem.message},
          {"explanation", problem.explanation}};
}

Json document() { return {{"schema", "extscrub/1"}, {"version", kVersion}}; }

// Nothing but ASCII goes out, so that no terminal acts on what a label holds.
std::string dump(const Json& json) { return json.dump(2, ' ', true, Json::error_handler_t::replace) + "\n"; }

}  // namespace

std::string json_report(const RunReport& run) {
  Json json = document();
  json["command"] = run.command;
  json["images"] = Json::array();
  for (const ImageReport& image : run.images) json["images"].push_back(json_of(image));
  return dump(json);
}

std::string json_checks() {
  Json json = document();
  json["problems"] = Json::array();
  for (const ProblemInfo& problem : problem_catalogue()) json["problems"].push_back(json_of(problem));
  return dump(json);
}

std::string json_explanation(const ProblemInfo& problem) {
  Json json = document();
  json["problem"] = json_of(problem);
  return dump(json);
}

}  // namespace extscrub
