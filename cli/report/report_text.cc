// The text report of one image:
//   disk.img: "label", 1b2f..., 262144 blocks of 4096 bytes ...          (--verbose)
//     error    group 3, blocks 9000-9599 (600): block-bitmap-mismatch: block bitmap is wrong: expected ... [repaired]
//     600 blocks written, flushed and read back
//   disk.img: repaired (1 error; 1 repaired)
// Without --verbose it holds nothing that differs between two runs over the same image.
#include <fmt/color.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "cli/process/exit_status.h"
#include "cli/report/coverage.h"
#include "cli/report/history_report.h"
#include "cli/report/report.h"
#include "cli/report/text_writer.h"
#include "cli/text/escape.h"
#include "cli/text/units.h"

namespace extscrub {

namespace {

fmt::text_style style_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::clean:
    case Verdict::repaired: return fg(fmt::terminal_color::green) | fmt::emphasis::bold;
    case Verdict::recoverable:
    case Verdict::not_audited: return fg(fmt::terminal_color::yellow) | fmt::emphasis::bold;
    case Verdict::damaged:
    case Verdict::errored:
    case Verdict::unreadable: return fg(fmt::terminal_color::red) | fmt::emphasis::bold;
  }
  return {};
}

// "12 errors, 1 warning; 10 repaired, 2 left"; empty when there is nothing to count. Notes do not make a summary.
std::string counts_of(const ImageReport& image) {
  std::array<size_t, 3> by_severity{};
  std::array<size_t, 4> by_repair{};
  for (const Severity severity : {Severity::error, Severity::warning, Severity::note})
    by_severity[static_cast<size_t>(severity)] = count_of(image, severity);
  for (const Finding& f : image.findings) ++by_repair[static_cast<size_t>(f.repair)];
  for (const FindingCount& c : image.past) by_repair[static_cast<size_t>(c.repair)] += c.count;
  std::vector<std::string> found, done;
  for (const Severity severity : {Severity::error, Severity::warning, Severity::note})
    if (const size_t n = by_severity[static_cast<size_t>(severity)]) found.push_back(counted(n, name(severity)));
  if (const size_t n = by_repair[static_cast<size_t>(RepairState::made)]) done.push_back(fmt::format("{} repaired", n));
  if (const size_t n = by_repair[static_cast<size_t>(RepairState::staged)])
    done.push_back(fmt::format("{} would be repaired", n));
  if (const size_t n = by_repair[static_cast<size_t>(RepairState::left)]) done.push_back(fmt::format("{} left", n));
  std::string text = fmt::format("{}", fmt::join(found, ", "));
  if (!done.empty()) text += fmt::format("; {}", fmt::join(done, ", "));
  return text;
}

// "1 new, 2 gone since 2026-11-27T03:00:12Z"; empty when nobody knows, or a clean image is as it was.
std::string changes_of(const ImageReport& image) {
  if (!image.changes || !was_looked_at(image)) return {};
  const auto fresh = std::ranges::count(image.changes->is_new, true);
  std::vector<std::string> changes;
  if (fresh > 0) changes.push_back(fmt::format("{} new", fresh));
  if (const size_t gone = image.changes->gone.size()) changes.push_back(fmt::format("{} gone", gone));
  if (changes.empty() && image.findings.empty()) return {};
  return fmt::format("{} since {}", changes.empty() ? "nothing new" : fmt::format("{}", fmt::join(changes, ", ")),
                     utc(image.changes->since));
}

// Consistent is not whole.
std::string gone_in(const ImageReport& image) {
  const auto gone = [](const Finding& f) { return f.problem == Problem::inodes_lost && f.repair == RepairState::made; };
  const auto gone_past = [](const FindingCount& c) { return c.problem == Problem::inodes_lost && c.repair == RepairState::made; };
  return std::ranges::any_of(image.findings, gone) || std::ranges::any_of(image.past, gone_past)
             ? "consistent, but files are gone: see inodes-lost"
             : "";
}

void write_verdict(TextWriter& w, const ImageReport& image) {  // without a line's end
  const std::string path = escape(name_of(image));
  if (image.undone) {
    w.print("{}: {}", path,
            !*image.undone                                             ? "not undone"
            : image.writeback->outcome == CommitOutcome::nothing_to_do ? "undone (it had the old bytes already)"
                                                                       : "undone");
    return;
  }
  if (image.history) {
    w.print("{}: {}", path, summary_of(*image.history));
    return;
  }
  if (!image.verdict) {
    w.print("{}: no verdict", path);
    return;
  }
  w.print("{}: {}", path, w.painted(style_of(*image.verdict), name(*image.verdict)));
  std::vector<std::string> remarks;
  if (*image.verdict == Verdict::not_audited) remarks.push_back(escape(image.not_audited));
  if (*image.verdict != Verdict::clean) remarks.push_back(counts_of(image));
  remarks.push_back(changes_of(image));
  remarks.push_back(gone_in(image));
  std::erase(remarks, "");
  if (!remarks.empty()) w.print(" ({})", fmt::join(remarks, "; "));
}

void write_info(TextWriter& w, const ImageReport& image) {
  if (!image.info) return;
  const ImageInfo& i = *image.info;
  w.print("  label \"{}\", uuid {}\n", escape(i.label), escape(i.uuid));
  w.print("  features {}\n", escape(fmt::format("{}", fmt::join(i.features, " "))));
  w.print("  {} blocks of {} bytes in {} groups, {} inodes of {} bytes", i.blocks, i.block_size, i.groups, i.inodes,
          i.inode_size);
  if (i.cluster_size != i.block_size) w.print(", clusters of {} bytes", i.cluster_size);
  w.print(", superblock in block {}\n", i.superblock_block);
}

// "verified: 98.4 % of the inode tables (3 of 192 blocks could not be read)"
void write_coverage(TextWriter& w, const ImageReport& image) {
  if (!image.info || !image.statistics) return;
  std::vector<std::string> parts;
  for (const Coverage& c : coverage_of(image.findings, *image.info, *image.statistics)) {
    if (c.total && *c.total >= c.unread)
      parts.push_back(
          fmt::format("{:.1f} % of the {} ({} of {} {} could not be read)",
                      std::floor(1000.0 * static_cast<double>(*c.total - c.unread) / static_cast<double>(*c.total)) / 10,
                      c.structure, c.unread, *c.total, c.unit));
    else
      parts.push_back(fmt::format("not all of the {} ({} {} could not be read)", c.structure, c.unread, c.unit));
  }
  if (!parts.empty()) w.print("  verified: {}; all else\n", fmt::join(parts, ", "));
}

void write_statistics(TextWriter& w, const ImageReport& image) {
  if (image.statistics) {
    const AuditStatistics& s = *image.statistics;
    w.print("  {} inodes in use, {} of them directories; {} blocks in use\n", s.inodes_in_use, s.directories, s.blocks_in_use);
    if (s.history.transactions > 0)
      w.print("  history: {} since {}{}\n", counted(s.history.transactions, "transaction"), utc(s.history.since),
              s.history.compared ? "" : "; not looked into, as too much is wrong");
    w.print("  {} read in {:.2f} s, {}\n", human_bytes(s.bytes_read), s.seconds.count(), human_rate(s.bytes_read, s.seconds));
  }
  if (image.writeback && image.writeback->blocks_written > 0) {
    const CommitReport& c = *image.writeback;
    w.print("  {} written in {:.2f} s by {} writes and {} flushes, {}, {}\n", human_bytes(c.bytes_written), c.seconds.count(),
            c.writes, c.flushes, name(c.queue), c.direct_io ? "O_DIRECT" : "O_DSYNC");
  }
}

}  // namespace

uint64_t count_of(const ImageReport& image, Severity severity) {
  uint64_t n = 0;
  for (const Finding& f : image.findings) n += info(f.problem).severity == severity;
  for (const FindingCount& c : image.past) n += info(c.problem).severity == severity ? c.count : 0;
  return n;
}

std::string name_of(const ImageReport& image) {
  return image.partition == 0 ? image.path : fmt::format("{}#p{}", image.path, image.partition);
}

std::string text_report(const ImageReport& image, const TextStyle& style) {
  const bool needs_no_audit = image.verdict == Verdict::not_audited && image.exit_status == kExitOk;
  if (style.quiet && (image.verdict == Verdict::clean || needs_no_audit)) return {};
  TextWriter w{{}, style.color};
  if (!style.quiet) {
    const std::string past = image.history ? text_of(*image.history) : std::string();
    const bool has_body = !image.findings.empty() || !image.past.empty() || (image.changes && !image.changes->gone.empty()) ||
                          style.verbose || (image.repairs && !image.repairs->blocks.empty()) || !past.empty() ||
                          (image.undone && *image.undone && image.writeback->blocks_written > 0);
    if (has_body) w.print("{}\n", escape(name_of(image)));
    w.text += past;
    if (style.verbose) write_info(w, image);
    write_findings(w, image, style);
    write_coverage(w, image);
    write_repairs(w, image, style.verbose);
    if (image.undone && *image.undone && image.writeback->blocks_written > 0)
      w.print("  {} put back, flushed and read back\n", counted(image.writeback->blocks_written, "block"));
    if (style.verbose) write_statistics(w, image);
  }
  write_verdict(w, image);
  w.print("\n");
  return std::move(w.text);
}

std::string verdict_line(const ImageReport& image) {
  TextWriter w{{}, false};
  write_verdict(w, image);
  return std::move(w.text);
}

}  // namespace extscrub
