// A file holds one family of samples after the other, as the format wants it, each with a sample an image. So the samples
// are kept by family and image: what an earlier file says of the other images is read back in, and printed again.
#include "cli/report/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <optional>
#include <ranges>
#include <vector>

#include "cli/process/exit_status.h"
#include "cli/text/escape.h"

namespace extscrub {

namespace {

struct Family {
  std::string_view name, help;
};

constexpr std::array<Family, 10> kFamilies{{
    {"extscrub_last_run_timestamp_seconds", "When the image was last looked at."},
    {"extscrub_last_success_timestamp_seconds", "When it was last found without errors, or all were mended."},
    {"extscrub_duration_seconds", "How long the last run took for it."},
    {"extscrub_exit_status", "What the last run's exit status has of it, as in fsck(8)."},
    {"extscrub_verdict", "1 for the verdict of the last run, 0 for the others."},
    {"extscrub_findings", "What the last run found."},
    {"extscrub_changed_findings", "How that differs from what the run before has left, where a state was kept (--state)."},
    {"extscrub_read_bytes", "How much the last audit read."},
    {"extscrub_written_bytes", "How much the last run wrote to it."},
    {"extscrub_write_errors", "Writes and flushes of the last run that failed."},
}};

constexpr std::array kVerdicts{Verdict::clean,   Verdict::recoverable, Verdict::repaired,   Verdict::damaged,
                               Verdict::errored, Verdict::unreadable,  Verdict::not_audited};

// The value of a label, with what the format wants escaped.
std::string label_value(std::string_view text) {
  std::string value;
  for (const char c : escape(text)) {
    if (c == '\\' || c == '"') value += '\\';
    value += c;
  }
  return value;
}

// Family, then the image's label, then whole lines.
using Samples = std::map<std::string, std::map<std::string, std::vector<std::string>>, std::less<>>;

// "extscrub_verdict{image="a.img",verdict="clean"} 1": its family and its image's label, as they are written.
struct SampleName {
  std::string family, image;
};
std::optional<SampleName> parse_sample(std::string_view line) {
  constexpr std::string_view kLabel = "{image=\"";
  const size_t label = line.find(kLabel);
  if (label == std::string_view::npos) return std::nullopt;
  const size_t begin = label + kLabel.size();
  size_t end = begin;
  while (end < line.size() && line[end] != '"') end += line[end] == '\\' ? 2 : 1;
  if (end >= line.size()) return std::nullopt;
  return SampleName{std::string(line.substr(0, label)), std::string(line.substr(begin, end - begin))};
}

Samples read_samples(std::string_view text) {
  Samples samples;
  for (const auto part : text | std::views::split('\n')) {
    const std::string_view line(part.begin(), part.end());
    if (const auto sample = parse_sample(line)) samples[sample->family][sample->image].emplace_back(line);
  }
  return samples;
}

// Nothing where there is no saying: the image was not looked at, or nobody knows what was found before.
bool knows_changes(const ImageReport& image) {
  return image.changes && was_looked_at(image) && image.changes->is_new.size() == image.findings.size();
}

void take_image(Samples& samples, const ImageReport& image, int64_t now) {
  const std::string label = label_value(name_of(image));
  const auto set = [&](std::string_view family, const auto& value, std::string_view more = {}) {
    samples[std::string(family)][label].push_back(fmt::format("{}{{image=\"{}\"{}}} {}", family, label, more, value));
  };
  const bool success = (image.exit_status & ~kExitCorrected) == 0 && image.verdict != Verdict::not_audited;
  for (const Family& family : kFamilies)
    if (success || family.name != "extscrub_last_success_timestamp_seconds") samples[std::string(family.name)].erase(label);
  set("extscrub_last_run_timestamp_seconds", now);
  if (success) set("extscrub_last_success_timestamp_seconds", now);
  set("extscrub_duration_seconds", image.timings.total.count());
  set("extscrub_exit_status", image.exit_status);
  for (const Verdict verdict : kVerdicts)
    set("extscrub_verdict", image.verdict == verdict ? 1 : 0, fmt::format(",verdict=\"{}\"", name(verdict)));
  for (const Severity severity : {Severity::note, Severity::warning, Severity::error})
    set("extscrub_findings", count_of(image, severity), fmt::format(",severity=\"{}\"", name(severity)));
  if (knows_changes(image)) {
    const auto change = [&](std::string_view what, auto count) {
      set("extscrub_changed_findings", count, fmt::format(",change=\"{}\"", what));
    };
    change("new", std::ranges::count(image.changes->is_new, true));
    change("known", std::ranges::count(image.changes->is_new, false));
    change("gone", image.changes->gone.size());
  }
  set("extscrub_read_bytes", image.statistics ? image.statistics->bytes_read : 0);
  set("extscrub_written_bytes", image.writeback ? image.writeback->bytes_written : 0);
  set("extscrub_write_errors", image.writeback ? image.writeback->failures() : 0);
}

}  // namespace

std::string metrics_text(const RunReport& run, std::string_view before, std::chrono::system_clock::time_point now) {
  Samples samples = read_samples(before);
  for (const ImageReport& image : run.images) take_image(samples, image, std::chrono::system_clock::to_time_t(now));
  std::string text;
  for (const Family& family : kFamilies) {
    const auto& images = samples[std::string(family.name)];
    if (images.empty()) continue;
    fmt::format_to(std::back_inserter(text), "# HELP {0} {1}\n# TYPE {0} gauge\n", family.name, family.help);
    for (const auto& lines : images | std::views::values)
      for (const std::string& line : lines) text += line + "\n";
  }
  return text;
}

}  // namespace extscrub
