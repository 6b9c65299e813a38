#include "cli/state/last_result.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <ranges>
#include <tuple>

#include "audit/catalogue/finding_id.h"
#include "cli/report/report.h"
#include "cli/text/escape.h"

namespace extscrub {

namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kSchema = "extscrub-state/1";

// Damage that has grown by a block is news.
bool is_less(const Finding& a, const Finding& b) {
  return std::pair(id_of(a), a.block_count) < std::pair(id_of(b), b.block_count);
}

Finding without_texts(const Finding& f) {
  Finding bare;
  static_cast<FindingPlace&>(bare) = f;
  bare.entry.reset();
  bare.problem = f.problem;
  return bare;
}

std::vector<Finding> by_fingerprint(std::vector<Finding> findings) {
  std::ranges::sort(findings, is_less);
  return findings;
}

bool has(const std::vector<Finding>& sorted, const Finding& f) { return std::ranges::binary_search(sorted, f, is_less); }

// Whether a finding in this place would be among these, which may be only the first of all that there were.
bool would_be_known(const Finding& f, const std::vector<Finding>& findings, bool has_more) {
  if (!has_more || is_always_kept(f.problem)) return true;
  return std::ranges::any_of(std::views::reverse(findings),
                             [&](const Finding& kept) { return !is_always_kept(kept.problem) && place_comes_before(f, kept); });
}

template <class N>
void put(Json& json, const char* key, const std::optional<N>& number) {
  if (!number) return;
  if constexpr (std::is_integral_v<N>)
    json[key] = *number;
  else
    json[key] = number->value;
}

template <class N>
void take(const Json& json, const char* key, std::optional<N>& number) {
  if (const auto it = json.find(key); it != json.end()) {
    if constexpr (std::is_integral_v<N>)
      number = it->get<N>();
    else
      number = N(it->get<decltype(N::value)>());
  }
}

Json json_of(const Finding& f) {
  Json json = {{"code", info(f.problem).code}};
  put(json, "group", f.group);
  put(json, "inode", f.inode);
  put(json, "block", f.block);
  if (f.block_count != 1) json["block_count"] = f.block_count;
  put(json, "logical", f.logical);
  if (!f.field.empty()) json["field"] = as_utf8(f.field);
  return json;
}

// Nothing when the code is not known, as that of another version may be.
std::optional<Finding> finding_of(const Json& json) {
  const auto problem = find_problem(json.at("code").get<std::string>());
  if (!problem) return std::nullopt;
  Finding f;
  f.problem = *problem;
  take(json, "group", f.group);
  take(json, "inode", f.inode);
  take(json, "block", f.block);
  f.block_count = json.value("block_count", uint64_t{1});
  take(json, "logical", f.logical);
  f.field = json.value("field", std::string());
  return f;
}

std::optional<Verdict> find_verdict(const std::string& word) {
  for (const Verdict verdict : {Verdict::clean, Verdict::recoverable, Verdict::repaired, Verdict::damaged, Verdict::errored,
                                Verdict::unreadable, Verdict::not_audited})
    if (name(verdict) == word) return verdict;
  return std::nullopt;
}

}  // namespace

LastResult result_of(const ImageReport& report, const LastResult* last, int64_t now) {
  LastResult result;
  result.path = report.path;
  result.offset = report.offset;
  result.time = now;
  result.verdict = *report.verdict;
  result.exit_status = report.exit_status;
  if (report.info) result.uuid = report.info->uuid;
  if (!was_looked_at(report) && last) {
    result.uuid = last->uuid;
    result.findings = last->findings;
    result.audited = last->audited;
    result.has_more = last->has_more;
  }
  if (was_looked_at(report)) result.audited = now;
  if (!report.past.empty()) result.has_more = true;
  for (const Finding& f : report.findings)
    if (f.repair != RepairState::made) result.findings.push_back(without_texts(f));
  sort_findings(result.findings);
  return result;
}

std::optional<Changes> changes_since(const LastResult& last, const ImageReport& report) {
  if (!report.verdict) return std::nullopt;
  if (report.info && !last.uuid.empty() && report.info->uuid != last.uuid) return std::nullopt;
  Changes changes{last.time, last.verdict, {}, {}};
  if (!was_looked_at(report)) return changes;
  const std::vector<Finding> then = by_fingerprint(last.findings), now = by_fingerprint(report.findings);
  for (const Finding& f : report.findings)
    changes.is_new.push_back(!has(then, f) && would_be_known(f, last.findings, last.has_more));
  for (const Finding& f : last.findings)
    if (!has(now, f) && would_be_known(f, report.findings, !report.past.empty())) changes.gone.push_back(f);
  return changes;
}

std::string to_text(const LastResult& result) {
  Json json = {{"schema", kSchema},
               {"path", as_utf8(result.path)},
               {"offset", result.offset},
               {"uuid", result.uuid},
               {"time", result.time},
               {"verdict", name(result.verdict)},
               {"exit_status", result.exit_status},
               {"audited", result.audited},
               {"has_more", result.has_more},
               {"findings", Json::array()}};
  for (const Finding& f : result.findings) json["findings"].push_back(json_of(f));
  return json.dump(1, ' ', true, Json::error_handler_t::replace) + "\n";
}

Result<LastResult> parse_last_result(const std::string& text) try {
  const Json json = Json::parse(text);
  const auto verdict = find_verdict(json.at("verdict").get<std::string>());
  if (json.at("schema") != kSchema || !verdict) return std::unexpected(Error{"unknown schema or verdict"});
  LastResult result;
  result.path = json.at("path").get<std::string>();
  result.offset = json.at("offset").get<uint64_t>();
  result.uuid = json.at("uuid").get<std::string>();
  result.time = json.at("time").get<int64_t>();
  result.verdict = *verdict;
  result.exit_status = json.at("exit_status").get<int>();
  // Those of version 1.0 have a UUID where there was a file system, and not the rest.
  result.audited = json.value("audited", result.uuid.empty() ? 0 : result.time);
  result.has_more = json.value("has_more", false);
  for (const Json& entry : json.at("findings"))
    if (auto f = finding_of(entry)) result.findings.push_back(std::move(*f));
  sort_findings(result.findings);
  return result;
} catch (const Json::exception& e) {
  return std::unexpected(Error{e.what()});
}

}  // namespace extscrub
