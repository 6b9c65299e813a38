#include "cli/report/history_report.h"

#include <fmt/format.h>

#include <iterator>

#include "cli/text/escape.h"
#include "cli/text/units.h"

namespace extscrub {

namespace {

using HistoryJson = nlohmann::ordered_json;

std::string time_of(const LoggedTransaction& t) { return utc(static_cast<int64_t>(t.seconds)); }

std::string counted_as(uint64_t count, std::string_view one) { return fmt::format("{} {}{}", count, one, count == 1 ? "" : "s"); }

HistoryJson word_or_null(std::string_view text) { return text.empty() ? HistoryJson(nullptr) : HistoryJson(as_utf8(text)); }

std::string line_of(const VersionChange& change) {
  const std::string what = escape(change.what), before = escape(change.before), after = escape(change.after);
  if (change.before.empty()) return fmt::format("{}: {}", what, after);
  if (change.after.empty()) return fmt::format("{}: {}, gone", what, before);
  return fmt::format("{}: {} -> {}", what, before, after);
}

void append_block(std::string& text, const BlockPast& past) {
  const auto out = std::back_inserter(text);
  fmt::format_to(out, "  block {} ({})\n", past.block, escape(past.what));
  if (past.versions.empty()) fmt::format_to(out, "    the log has no version of it\n");
  bool first = true;
  for (const BlockVersion& v : past.versions) {
    if (v.in_place)
      fmt::format_to(out, "    in place");
    else
      fmt::format_to(out, "    transaction {}, {}, block {} of the log{}", v.sequence, utc(static_cast<int64_t>(v.seconds)),
                     v.log_block, v.revoked ? ", revoked" : "");
    if (!v.error.empty())
      fmt::format_to(out, ": {}\n", escape(v.error));
    else if (first)
      fmt::format_to(out, ": the oldest that is left\n");
    else
      fmt::format_to(out, "{}\n", v.changes.empty() ? ": as before" : "");
    first = first && !v.error.empty();
    for (const VersionChange& change : v.changes) fmt::format_to(out, "      {}\n", line_of(change));
  }
}

HistoryJson version_json(const BlockVersion& v) {
  HistoryJson json = {{"in_place", v.in_place},
                      {"transaction", v.in_place ? HistoryJson(nullptr) : HistoryJson(v.sequence)},
                      {"committed", v.in_place ? HistoryJson(nullptr) : HistoryJson(utc(static_cast<int64_t>(v.seconds)))},
                      {"log_block", v.in_place ? HistoryJson(nullptr) : HistoryJson(v.log_block)},
                      {"revoked", v.revoked},
                      {"error", word_or_null(v.error)},
                      {"changes", HistoryJson::array()}};
  for (const VersionChange& change : v.changes)
    json["changes"].push_back(
        {{"what", as_utf8(change.what)}, {"before", word_or_null(change.before)}, {"after", word_or_null(change.after)}});
  return json;
}

}  // namespace

std::string summary_of(const Past& past) {
  if (!past.none.empty()) return fmt::format("no history ({})", past.none);
  if (past.transactions.empty()) return "no history (the log has no transaction that is whole)";
  return fmt::format("{} since {} ({} of {})", counted_as(past.transactions.size(), "transaction"),
                     time_of(past.transactions.front()), counted_as(past.copies, "version"), counted_as(past.blocks, "block"));
}

std::string text_of(const Past& past) {
  std::string text;
  for (const BlockPast& each : past.asked) append_block(text, each);
  if (!past.asked.empty()) return text;
  const auto out = std::back_inserter(text);
  if (past.bounded) fmt::format_to(out, "  older transactions are left out: there are too many\n");
  for (size_t i = 0; i < past.transactions.size(); ++i) {
    const LoggedTransaction& t = past.transactions[i];
    if (i == past.unbroken && i > 0) fmt::format_to(out, "  transactions are missing here\n");
    fmt::format_to(out, "  transaction {}, {}: {}{}\n", t.sequence, time_of(t), counted_as(t.copies, "block"),
                   t.revokes == 0 ? "" : ", " + counted_as(t.revokes, "revoke record"));
  }
  if (past.unbroken == past.transactions.size() && past.unbroken > 0) fmt::format_to(out, "  transactions are missing here\n");
  return text;
}

nlohmann::ordered_json json_of(const Past& past) {
  HistoryJson json = {{"none", word_or_null(past.none)}, {"transactions", HistoryJson::array()}};
  for (size_t i = 0; i < past.transactions.size(); ++i) {
    const LoggedTransaction& t = past.transactions[i];
    json["transactions"].push_back({{"sequence", t.sequence},
                                    {"committed", time_of(t)},
                                    {"nanoseconds", t.nanoseconds},
                                    {"log_begin", t.log_begin},
                                    {"log_end", t.log_end},
                                    {"blocks", t.copies},
                                    {"revoke_records", t.revokes},
                                    {"unbroken", i >= past.unbroken}});
  }
  json["bounded"] = past.bounded;
  json["versions"] = past.copies;
  json["blocks"] = past.blocks;
  json["inode"] = past.inode ? HistoryJson(past.inode.value) : HistoryJson(nullptr);
  json["asked"] = HistoryJson::array();
  for (const BlockPast& each : past.asked) {
    HistoryJson block = {{"block", each.block.value}, {"what", as_utf8(each.what)}, {"versions", HistoryJson::array()}};
    for (const BlockVersion& v : each.versions) block["versions"].push_back(version_json(v));
    json["asked"].push_back(std::move(block));
  }
  return json;
}

}  // namespace extscrub
