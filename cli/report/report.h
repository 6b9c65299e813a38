// The report of a whole run: what became of each image. Filled by the subcommands, printed by report_text.cc and
// report_json.cc. Plain values; they belong to one thread.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "audit/auditor.h"
#include "audit/lost/look_back.h"
#include "cli/report/changes.h"
#include "writeback/commit/commit.h"

namespace extscrub {

using Seconds = std::chrono::duration<double>;

// One block a repair changes.
struct BlockChange {
  BlockNo block;
  std::string what;           // whose it is; empty where nobody asked
  std::string before, after;  // XXH3 of the whole block, 128 bits, in hexadecimal
};

struct RepairReport {
  RepairPolicy policy = RepairPolicy::safe;
  bool dry_run = false;
  bool proven_clean = false;  // what the last audit under the overlay said
  int rounds = 0;
  uint32_t time = 0;          // seconds; what goes into fields that hold a time
  std::vector<BlockChange> blocks;
  std::vector<Loss> losses = {};  // what the repair lets go of
  std::optional<WayChoice> way = {};  // how the blocks go, or would go, to the image; nothing where there are none
};

struct Timings {
  Seconds audit{};      // audit, or staging of the repairs with all its audits
  Seconds writeback{};  // the commit
  Seconds total{};
};

struct ImageReport {
  std::string path;     // as it was given
  int partition = 0;    // 0: all of it
  std::string opened;   // what is read and written: the path, a compressed image's copy, a virtual disk as a file
  bool read_only = false;      // the disk is opened for reading, and has to be opened anew to be written to
  bool needs_writing = false;  // the work ended there: it is to be done again on a disk that is opened for writing
  uint64_t offset = 0;  // bytes of what is opened
  std::optional<uint64_t> length;  // bytes of the partition; nothing: up to the end
  std::string partition_type;  // what the partition table says of it, as "Linux LVM"; empty: no partition
  std::string holds;           // in place of ext2/3/4, as libblkid calls it: "swap", "LVM2_member"; empty: nothing known
  std::string not_audited;     // why, a sentence without a subject: "holds swap space"; where that is the verdict
  std::optional<ImageInfo> info;
  std::optional<Verdict> verdict;  // nothing when the run ended before there was one
  int exit_status = 0;
  std::optional<Error> error;         // why there is no verdict, or not a better one; nothing when all went well
  std::vector<std::string> warnings;  // what else to know, a sentence each
  std::vector<Finding> findings;      // sorted
  std::vector<FindingCount> past;     // findings past --max-findings, by code and what became of their repair
  uint64_t without_path = 0;          // findings whose path was not looked up, as there are too many
  std::optional<Changes> changes;     // since the last run, where its result is known
  std::optional<Recovery> recovery;  // what the audit did first, in memory; nothing when it looked at the image as it is stored
  std::optional<AuditStatistics> statistics;
  std::optional<RepairReport> repairs;
  std::optional<CommitReport> writeback;
  std::string undo_log;  // of an undo: the log that was to be carried out
  std::optional<bool> undone;  // of an undo: the image has its old bytes
  std::optional<Past> history;  // of history
  Timings timings;
};

struct RunReport {
  std::string command;
  std::vector<ImageReport> images;
};

struct TextStyle {
  bool color = false;
  bool quiet = false;
  bool verbose = false;
};

// Whether what is found says something of the file system.
[[nodiscard]] inline bool was_looked_at(const ImageReport& image) {
  return image.verdict && *image.verdict != Verdict::unreadable && *image.verdict != Verdict::not_audited;
}

// What bitmaps and counts of free blocks are in.
[[nodiscard]] inline uint64_t blocks_per_cluster(const ImageReport& image) {
  return image.info && image.info->block_size > 0 ? image.info->cluster_size / image.info->block_size : 1;
}

// How many findings there are of a severity, those past --max-findings among them.
[[nodiscard]] uint64_t count_of(const ImageReport& image, Severity severity);

// What reports and messages call it: the path, and "#p2" behind it for partition 2.
[[nodiscard]] std::string name_of(const ImageReport& image);

// The text report of one image, for a person; may be empty with `quiet`. The last line is "PATH: VERDICT".
[[nodiscard]] std::string text_report(const ImageReport& image, const TextStyle& style);

// The sentence of its error, or nothing.
[[nodiscard]] inline std::string error_of(const ImageReport& report) {
  return report.error ? text_of(*report.error) : std::string();
}

// "disk.img: damaged (2 errors)", without a line's end.
[[nodiscard]] std::string verdict_line(const ImageReport& image);

// The command that puts the old bytes back, to be given to a shell; for a write-back that has kept them.
[[nodiscard]] std::string undo_command(const ImageReport& image);
[[nodiscard]] std::string undo_command(std::string_view log, std::string_view image);

// The whole run as one JSON document, schema extscrub/1.
[[nodiscard]] std::string json_report(const RunReport& run);

// The whole run as one JUnit document: an image is a test case, which fails where errors are left, and is in error where
// there is no saying.
[[nodiscard]] std::string junit_report(const RunReport& run);

// The catalogue, or one problem of it, as JSON documents of the same schema.
[[nodiscard]] std::string json_checks();
[[nodiscard]] std::string json_explanation(const ProblemInfo& problem);

}  // namespace extscrub
