// The findings of the text report. What follows from another finding is counted in a line under it; where there are too many
// lines, alike findings are put together, and counts by code and by directory stand at the end:
//     error   in /etc: inode is garbage: 17 inodes (group, hosts, passwd and 14 more) [needs --repair=all]
//             230 findings: inode-flags-invalid 61, indirect-block-out-of-range 44 and 12 more codes
#include <fmt/color.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "cli/report/finding_groups.h"
#include "cli/report/report.h"
#include "cli/report/text_writer.h"
#include "cli/text/escape.h"
#include "cli/text/units.h"

namespace extscrub {

namespace {

constexpr size_t kMostLines = 40;        // of findings; with the counts behind them two screens
constexpr size_t kMostNames = 3;         // in a line
constexpr size_t kMostCodes = 4;
constexpr size_t kMostDirectories = 20;  // with a line each

fmt::text_style style_of(Severity severity) {
  switch (severity) {
    case Severity::note: return fg(fmt::terminal_color::cyan);
    case Severity::warning: return fg(fmt::terminal_color::yellow);
    case Severity::error: return fg(fmt::terminal_color::red) | fmt::emphasis::bold;
  }
  return {};
}

template <class N>
void add_place(std::vector<std::string>& places, std::string_view one, std::string_view many,
               const std::optional<Range<N>>& range) {
  if (!range) return;
  if (range->first == range->last)
    places.push_back(fmt::format("{} {}", one, range->first));
  else
    places.push_back(fmt::format("{} {}-{} ({})", many, range->first, range->last, range->last - range->first + 1));
}

// "passwd, group and 12 more"
std::string some_of(const std::vector<std::string>& names) {
  const size_t shown = names.size() > kMostNames + 1 ? kMostNames : names.size();
  std::string text = fmt::format("{}", fmt::join(names.begin(), names.begin() + static_cast<ptrdiff_t>(shown), ", "));
  if (shown < names.size()) text += fmt::format(" and {} more", names.size() - shown);
  return text;
}

using Members = std::vector<const Finding*>;

// Each once, in the order of the findings. `directory`: they lie in it, and their last names do.
std::vector<std::string> names_of(const Members& members, std::string_view directory = "") {
  std::vector<std::string> names;
  std::set<std::string_view> seen;
  for (const Finding* f : members) {
    if (f->path.empty() || !seen.insert(f->path).second) continue;
    const size_t begin = directory.empty() || f->path == "/" ? 0 : f->path.rfind('/') + 1;
    names.push_back(escape(std::string_view(f->path).substr(begin)));
  }
  return names;
}

// "/etc/passwd", "/etc: group, passwd"
std::string paths_of(const Members& members) {
  const auto paths = names_of(members);
  if (paths.size() < 2) return some_of(paths);
  const std::string_view directory = directory_part(members.front()->path);
  const bool together = std::ranges::all_of(members, [&](const Finding* f) { return directory_part(f->path) == directory; });
  return together ? fmt::format("{}: {}", escape(directory), some_of(names_of(members, directory))) : some_of(paths);
}

// "group 3, inode 12 (/etc/passwd), blocks 9000-9599 (600), i_blocks"
std::string place_of(const FindingRun& run, const Members& members) {
  std::vector<std::string> places;
  add_place(places, "group", "groups", run.groups);
  add_place(places, "inode", "inodes", run.inodes);
  if (const std::string names = paths_of(members); !names.empty()) {
    const std::string paths = fmt::format("({})", names);
    if (run.inodes)
      places.back() += " " + paths;
    else
      places.push_back(paths);
  }
  add_place(places, "block", "blocks", run.blocks);
  add_place(places, "logical block", "logical blocks", run.logical);
  if (!run.first.field.empty()) places.push_back(escape(run.first.field));
  return places.empty() ? "file system" : fmt::format("{}", fmt::join(places, ", "));
}

std::string values_of(const FindingRun& run) {
  const auto [expected, found] = texts_of(run.first.evidence);
  if (expected.empty() && found.empty()) return {};
  if (!run.same_values) return ": values differ, see --verbose";
  if (expected.empty()) return ": found " + escape(found);
  if (found.empty()) return ": expected " + escape(expected);
  return fmt::format(": expected {}, found {}", escape(expected), escape(found));
}

// Metadata that was not seen: what is found wrong elsewhere may follow from that alone, as files look unattached whose
// directory cannot be read, and a scrub may not dare to touch it.
bool is_partly_unread(const ImageReport& image) {
  return std::ranges::any_of(
      image.findings, [](const Finding& f) { return f.problem == Problem::read_error || f.problem == Problem::image_truncated; });
}

// What is done about a finding that nothing was done about. `unread`: some metadata was not seen.
std::string_view remedy(const Finding& f, bool unread) {
  const bool tried = f.repair == RepairState::left;
  if (unread && !tried && info(f.problem).repair != RepairClass::none)
    return "no repair is promised while metadata cannot be read";
  if (f.remedy != Remedy::by_class && !tried && info(f.problem).repair != RepairClass::none)
    return f.remedy == Remedy::scrub ? "`extscrub scrub` repairs it" : "needs --repair=all";
  switch (info(f.problem).repair) {
    case RepairClass::none:
      if (f.problem == Problem::image_truncated) return "";  // what to do is among its values
      return info(f.problem).severity == Severity::note ? "" : "no repair yet";
    case RepairClass::safe: return tried ? "not repaired" : "`extscrub scrub` repairs it";
    case RepairClass::lossy: return "needs --repair=all";
  }
  return "";
}

std::string_view action_of(const Finding& f, const std::optional<RepairReport>& repairs, bool unread) {
  switch (f.repair) {
    case RepairState::made: return "repaired";
    case RepairState::staged: return "would be repaired";
    case RepairState::left:
      if (repairs && repairs->policy == RepairPolicy::all && info(f.problem).repair != RepairClass::none) return "not repaired";
      return remedy(f, unread);
    case RepairState::none: return remedy(f, unread);
  }
  return "";
}

std::string label_of(const TextWriter& w, Severity severity) {
  return fmt::format("  {}{}", w.painted(style_of(severity), name(severity)), std::string(8 - name(severity).size(), ' '));
}

void write_run(TextWriter& w, const FindingRun& run, const ImageReport& image, std::string_view action,
               const std::string& place) {
  const ProblemInfo& problem = info(run.first.problem);
  w.print("{}{}: {}: {}{}", label_of(w, problem.severity), place, problem.code, problem.message, values_of(run));
  if (run.first.problem == Problem::read_error && run.blocks && image.info)
    w.print(", bytes {}-{}", run.blocks->first.value * image.info->block_size,
            (run.blocks->last.value + 1) * image.info->block_size - 1);
  if (!action.empty()) w.print(" [{}]", action);
  w.print("\n");
}

// Where many findings are.
struct Places {
  std::set<std::string_view> directories;
  std::set<InodeNo> inodes;
  std::optional<Range<GroupNo>> groups;
  uint64_t blocks = 0;

  [[nodiscard]] std::string text() const {
    if (directories.size() == 1) return "in " + escape(*directories.begin());
    if (!directories.empty()) return fmt::format("in {} directories", directories.size());
    std::vector<std::string> place;
    add_place(place, "group", "groups", groups);
    return place.empty() ? "file system" : place.front();
  }
};

Places places_of(const Members& members) {
  Places places;
  for (const Finding* f : members) {
    if (!f->path.empty()) places.directories.insert(directory_part(f->path));
    if (f->inode) places.inodes.insert(*f->inode);
    if (f->block) places.blocks += f->block_count;
    if (!f->group) continue;
    if (!places.groups) places.groups = {*f->group, *f->group};
    places.groups = {std::min(places.groups->first, *f->group), std::max(places.groups->last, *f->group)};
  }
  return places;
}

// Writes findings, a list at a time.
class FindingsWriter {
 public:
  FindingsWriter(TextWriter& w, const ImageReport& image, const TextStyle& style)
      : w_(w), image_(image), style_(style), unread_(is_partly_unread(image)) {}

  // `actions`: says too what is done about them.
  void write(const std::vector<Finding>& findings, bool actions = true) {
    actions_ = actions;
    if (style_.verbose) {
      for (const FindingRun& run : unfolded_findings(findings))
        write_run(w_, run, image_, action(run.first), place_of(run, {&run.first}));
      return;
    }
    const FindingGroups groups = group_findings(findings, blocks_per_cluster(image_), kMostLines);
    put_together_ = put_together_ || groups.put_together;
    for (const FindingGroup& group : groups.groups) {
      Members members;
      for (const size_t i : group.positions) members.push_back(&findings[i]);
      if (group.runs.size() > 1)
        write_alike(group, members);
      else if (group.garbage)
        write_garbage(group, members);
      else
        write_run(w_, group.runs.front(), image_, action(group.like), place_of(group.runs.front(), members));
      write_consequences(group);
    }
  }

  // Some lines stand for many places.
  [[nodiscard]] bool put_together() const { return put_together_; }

 private:
  [[nodiscard]] std::string_view action(const Finding& f) const { return actions_ ? action_of(f, image_.repairs, unread_) : ""; }

  void write_end(std::string_view action) {
    if (!action.empty()) w_.print(" [{}]", action);
    w_.print("\n");
  }

  void write_garbage(const FindingGroup& group, const Members& members) {
    w_.print("{}{}: inode is garbage", label_of(w_, Severity::error), place_of(group.runs.front(), members));
    write_end(action(group.like));
  }

  // "in /etc: inode-mode-invalid: inode has an unknown type: 17 findings in 17 inodes (group, hosts, passwd and 14 more)"
  void write_alike(const FindingGroup& group, const Members& members) {
    const ProblemInfo& problem = info(members.front()->problem);
    const Places places = places_of(members);
    w_.print("{}{}: ", label_of(w_, problem.severity), places.text());
    if (group.garbage)
      w_.print("inode is garbage: {}", counted(places.inodes.size(), "inode"));
    else
      w_.print("{}: {}: {}", problem.code, problem.message, counted(members.size(), "finding"));
    if (!group.garbage && !places.inodes.empty()) w_.print(" in {}", counted(places.inodes.size(), "inode"));
    if (places.inodes.empty() && places.blocks > 0) w_.print(", {}", counted(places.blocks, "block"));
    const auto names = names_of(members, places.directories.size() == 1 ? *places.directories.begin() : "");
    if (!names.empty())
      w_.print(" ({})", some_of(names));
    else if (places.inodes.size() == 1)
      w_.print(" (inode {})", *places.inodes.begin());
    else if (!places.inodes.empty())
      w_.print(" (inodes {} to {})", *places.inodes.begin(), *places.inodes.rbegin());
    write_end(action(group.like));
  }

  // "230 findings: inode-flags-invalid 61, ... and 12 more codes; 40 of them [repaired]"
  void write_consequences(const FindingGroup& group) {
    if (group.consequences.empty()) return;
    std::map<std::string_view, size_t> by_code, by_action;
    size_t total = 0;
    for (const AlikeFindings& alike : group.consequences) {
      by_code[info(alike.like.problem).code] += alike.count;
      if (const std::string_view done = action(alike.like); done != action(group.like)) by_action[done] += alike.count;
      total += alike.count;
    }
    std::vector<std::string> codes = codes_of(by_code);
    const size_t shown = codes.size() > kMostCodes + 1 ? kMostCodes : codes.size(), left = codes.size() - shown;
    codes.resize(shown);
    w_.print("          {}: {}",
             group.garbage ? counted(total, "finding") : fmt::format("{} more follow{}", total, total == 1 ? "s" : ""),
             fmt::join(codes, ", "));
    if (left > 0) w_.print(" and {}", counted(left, "more code"));
    for (const auto& [done, count] : by_action)
      if (!done.empty()) w_.print("; {} of them [{}]", count, done);
    w_.print("\n");
  }

  TextWriter& w_;
  const ImageReport& image_;
  const TextStyle& style_;
  bool unread_, actions_ = true, put_together_ = false;
};

// As many as go into a line, under each other.
void write_list(TextWriter& w, std::string_view title, const std::vector<std::string>& parts) {
  constexpr size_t kWidth = 110;
  std::string line = fmt::format("  {}", title);
  for (size_t i = 0; i < parts.size(); ++i) {
    const std::string part = parts[i] + (i + 1 < parts.size() ? "," : "");
    if (line.size() + 1 + part.size() > kWidth) {
      w.print("{}\n", line);
      line.assign(title.size() + 2, ' ');
    }
    line += " " + part;
  }
  w.print("{}\n", line);
}

// What of the file system is touched, and by how much of what.
void write_counts(TextWriter& w, const ImageReport& image) {
  std::map<std::string_view, size_t> by_code;
  std::map<std::string_view, Members> by_directory;
  std::set<InodeNo> nameless;
  for (const Finding& f : image.findings) {
    ++by_code[info(f.problem).code];
    if (!f.path.empty())
      by_directory[directory_part(f.path)].push_back(&f);
    else if (f.inode)
      nameless.insert(*f.inode);
  }
  for (const FindingCount& c : image.past) by_code[info(c.problem).code] += c.count;
  write_list(w, "by code:", codes_of(by_code));
  std::vector<std::pair<std::string_view, std::vector<std::string>>> directories;
  for (const auto& [directory, members] : by_directory) directories.emplace_back(directory, names_of(members, directory));
  std::ranges::stable_sort(directories, std::ranges::greater(), [](const auto& d) { return d.second.size(); });
  const size_t shown = std::min(directories.size(), kMostDirectories);
  for (size_t i = 0; i < shown; ++i)
    w.print("  in {}: {} touched ({})\n", escape(directories[i].first), counted(directories[i].second.size(), "file"),
            some_of(directories[i].second));
  size_t files = 0;
  for (size_t i = shown; i < directories.size(); ++i) files += directories[i].second.size();
  if (files > 0) w.print("  in {} more directories: {} touched\n", directories.size() - shown, counted(files, "file"));
  if (!nameless.empty()) w.print("  without a path: {} touched\n", counted(nameless.size(), "inode"));
  w.print("  --verbose has every finding, --affected FILE a list of what is touched\n");
}

// What is new since the last run, what is not, and what is gone.
void write_changes(TextWriter& w, const ImageReport& image, FindingsWriter& lines) {
  const Changes& changes = *image.changes;
  std::vector<Finding> by_age[2];
  for (size_t i = 0; i < image.findings.size(); ++i) by_age[changes.is_new[i]].push_back(image.findings[i]);
  const auto& [known, fresh] = by_age;
  if (!fresh.empty()) w.print(" new since {}:\n", utc(changes.since));
  lines.write(fresh);
  if (!known.empty()) w.print(" known:\n");
  lines.write(known);
  if (!changes.gone.empty()) w.print(" gone since {}:\n", utc(changes.since));
  lines.write(changes.gone, false);
}

// "  error   12345 more, past --max-findings: inode-mode: ... [repaired]". Nothing is promised for them: nobody has tried.
void write_past(TextWriter& w, const ImageReport& image) {
  for (const FindingCount& c : image.past) {
    FindingRun run;
    run.first.problem = c.problem;
    run.first.repair = c.repair;
    const std::string_view action =
        c.repair == RepairState::none ? "" : action_of(run.first, image.repairs, is_partly_unread(image));
    write_run(w, run, image, action, fmt::format("{} more, past --max-findings", c.count));
  }
}

}  // namespace

std::vector<std::string> codes_of(const std::map<std::string_view, size_t>& counts) {
  std::vector<std::pair<std::string_view, size_t>> sorted(counts.begin(), counts.end());
  std::ranges::stable_sort(sorted, std::ranges::greater(), [](const auto& c) { return c.second; });
  std::vector<std::string> codes;
  for (const auto& [code, count] : sorted) codes.push_back(fmt::format("{} {}", code, count));
  return codes;
}

void write_findings(TextWriter& w, const ImageReport& image, const TextStyle& style) {
  FindingsWriter lines(w, image, style);
  if (image.changes && image.changes->is_new.size() == image.findings.size())
    write_changes(w, image, lines);
  else
    lines.write(image.findings);
  write_past(w, image);
  if (lines.put_together()) write_counts(w, image);
  if (image.without_path > 0)
    w.print("  {} {} no path: the names of so many inodes are not looked up\n", counted(image.without_path, "finding"),
            image.without_path == 1 ? "has" : "have");
}

}  // namespace extscrub
