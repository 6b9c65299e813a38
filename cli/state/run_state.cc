#include "cli/state/run_state.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "cli/disk/image_kind.h"
#include "cli/options/words.h"
#include "cli/process/exit_status.h"
#include "cli/state/last_result.h"
#include "cli/text/escape.h"
#include "cli/text/hash.h"
#include "cli/text/units.h"

namespace extscrub {

namespace fs = std::filesystem;

namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kProgressSchema = "extscrub-run/1";
constexpr const char* kDiskSchema = "extscrub-disk/1";

// A job may be started from anywhere; but a link of /dev/disk names the same disk each time, its target does not.
std::string absolute(const std::string& path) {
  if (is_nbd_uri(path)) return path;
  std::error_code ignored;
  const fs::path full = fs::absolute(path, ignored);
  return ignored ? path : full.lexically_normal().native();
}

int64_t now() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// Another list of images, or other work, is another run.
std::string name_of_run(const Options& options, std::span<const std::string> images) {
  std::string text =
      fmt::format("{} {} {} {}", options.command, word_of(options.repair), options.offset.value_or(0), options.partition);
  for (const std::string& image : images) text += '\0' + absolute(image);
  return "run-" + hash_of(std::as_bytes(std::span(text)));
}

}  // namespace

RunState::RunState(const Options& options, const Environment& environment, std::span<const std::string> images)
    : environment_(environment) {
  if (options.state.empty()) return;
  path_ = absolute(options.state);
  all_of_disks_ = options.partition == 0 && !options.offset;
  auto directory = StateDirectory::open(path_);
  if (!directory) {
    warn({}, text_of(directory.error()) + "; nothing is kept");  // once, and not again for each image
    return;
  }
  directory_ = std::move(*directory);
  if (!options.resume) return;
  progress_ = name_of_run(options, images);
  load_progress();
}

RunState::Stamp RunState::stamp_of(const std::string& image) {
  struct stat st;
  if (::stat(image.c_str(), &st) != 0) return {};
  return {static_cast<uint64_t>(st.st_size), st.st_mtim.tv_sec * int64_t{1'000'000'000} + st.st_mtim.tv_nsec};
}

bool RunState::is_done(const std::string& image) const {
  const auto it = done_.find(absolute(image));
  return it != done_.end() && it->second == stamp_of(image);
}

std::string RunState::result_file(const ImageReport& report) {
  const std::string name = fmt::format("{}:{}", report.offset, absolute(report.path));
  return hash_of(std::as_bytes(std::span(name))) + ".json";
}

std::string RunState::disk_file(const std::string& image) {
  const std::string path = absolute(image);
  return "disk-" + hash_of(std::as_bytes(std::span(path))) + ".json";
}

std::optional<std::map<uint64_t, int>> RunState::load_partitions(const std::string& image) const {
  const std::string file = disk_file(image);
  const auto text = directory_->read(file);
  if (!text) {
    warn(file, text_of(text.error()) + ". Remove it, or no partition of " + image + " is missed");
    return std::nullopt;
  }
  std::map<uint64_t, int> partitions;
  if (!*text) return partitions;
  try {
    const Json json = Json::parse(**text);
    for (const Json& entry : json.at("partitions"))
      partitions[entry.at("offset").get<uint64_t>()] = entry.at("number").get<int>();
  } catch (const Json::exception& e) {
    warn(file, fmt::format("damaged, and taken for none: {}", e.what()));
    partitions.clear();
  }
  return partitions;
}

std::vector<ImageReport> RunState::missed_partitions(const std::string& image, const std::vector<ImageReport>& reports) {
  const auto is_unsure = [](const ImageReport& r) { return !r.verdict || *r.verdict == Verdict::unreadable; };
  if (!directory_ || !all_of_disks_ || std::ranges::any_of(reports, is_unsure)) return {};
  const auto before = load_partitions(image);
  if (!before) return {};
  std::map<uint64_t, int> partitions;
  std::vector<ImageReport> missed;
  for (const ImageReport& r : reports)
    if (r.partition != 0 && (was_looked_at(r) || before->contains(r.offset))) partitions[r.offset] = r.partition;
  for (const auto& [offset, number] : *before) {
    if (partitions.contains(offset)) continue;
    ImageReport report;
    report.path = image;
    report.partition = number;
    report.offset = offset;
    report.verdict = Verdict::not_audited;
    report.not_audited = "is not among the partitions that were found";
    const auto last = directory_->read(result_file(report));
    if (last && !*last) continue;  // somebody has removed it: it is not missed any more
    partitions[offset] = number;
    missed.push_back(std::move(report));
  }
  if (partitions == *before) return missed;
  Json json = {{"schema", kDiskSchema}, {"path", as_utf8(absolute(image))}, {"partitions", Json::array()}};
  for (const auto& [offset, number] : partitions) json["partitions"].push_back({{"number", number}, {"offset", offset}});
  results_.emplace_back(disk_file(image), json.dump(1, ' ', true, Json::error_handler_t::replace) + "\n");
  return missed;
}

// What was a file system and is none any more was overwritten, or is hidden by what lies around it now.
void RunState::miss(ImageReport& report, int64_t audited) const {
  report.not_audited += fmt::format(", and was an ext file system when it was last audited ({})", utc(audited));
  report.exit_status |= kExitErrorsLeft;
  report.error =
      Error{fmt::format("{}. If that is meant, remove {}", report.not_audited, (path_ / result_file(report)).native())};
}

void RunState::take(ImageReport& report) {
  if (!directory_ || !report.verdict || (report.exit_status & kExitCancelled)) return;
  const std::string file = result_file(report);
  std::optional<LastResult> last;
  const auto text = directory_->read(file);
  if (!text) return warn(file, text_of(text.error()) + ". Remove it, or nothing is kept of " + report.path);
  if (*text) {
    if (auto parsed = parse_last_result(**text))
      last = std::move(*parsed);
    else
      warn(file, "damaged, and taken for none: " + text_of(parsed.error()));
  }
  if (last) report.changes = changes_since(*last, report);
  if (last && last->audited != 0 && report.verdict == Verdict::not_audited) miss(report, last->audited);
  LastResult result = result_of(report, last ? &*last : nullptr, now());
  result.path = absolute(report.path);
  results_.emplace_back(file, to_text(result));
}

void RunState::take_end(const std::string& image) {
  if (progress_.empty()) return;
  done_[absolute(image)] = stamp_of(image);
  progress_changed_ = true;
}

void RunState::keep() {
  for (const auto& [file, text] : results_) store(file, text);
  results_.clear();
  if (progress_changed_) keep_progress();
  progress_changed_ = false;
}

void RunState::finish() {
  if (progress_.empty()) return;
  if (const auto removed = directory_->remove(progress_); !removed) warn(progress_, text_of(removed.error()));
}

void RunState::load_progress() {
  const auto text = directory_->read(progress_);
  if (!text) {
    warn(progress_, text_of(text.error()) + ". Remove it, or a stopped run begins anew");
    progress_.clear();
    return;
  }
  if (!*text) return;
  try {
    const Json json = Json::parse(**text);
    if (json.at("schema") != kProgressSchema) return warn(progress_, "unknown schema, taken for none");
    for (const Json& entry : json.at("done"))
      done_[entry.at("path").get<std::string>()] = {entry.at("size").get<uint64_t>(), entry.at("mtime").get<int64_t>()};
  } catch (const Json::exception& e) {
    done_.clear();
    warn(progress_, fmt::format("damaged, and taken for none: {}", e.what()));
  }
}

void RunState::keep_progress() {
  Json json = {{"schema", kProgressSchema}, {"done", Json::array()}};
  for (const auto& [path, stamp] : done_) json["done"].push_back({{"path", path}, {"size", stamp.size}, {"mtime", stamp.mtime}});
  // A name that is no UTF-8 cannot be stored; its image is done again.
  store(progress_, json.dump(1, ' ', true, Json::error_handler_t::replace) + "\n");
}

void RunState::store(const std::string& file, const std::string& text) {
  if (const auto done = directory_->write(file, text); !done) warn(file, text_of(done.error()));
}

void RunState::warn(const fs::path& file, const std::string& message) const {
  environment_.err << fmt::format("extscrub: warning: state {}: {}\n",
                                  escape(file.empty() ? path_.native() : (path_ / file).native()), escape(message))
                   << std::flush;
}

}  // namespace extscrub
