// The command line, understood: what to do with which images, and how to report it. Plain values.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "audit/run/audit.h"
#include "cli/disk/partition_table.h"
#include "writeback/commit/commit.h"

namespace extscrub {

// What a subcommand does with the images that it is given.
enum class Access : uint8_t { none, read, repair, put_back };
enum class Format : uint8_t { text, json, junit };
enum class When : uint8_t { automatic, always, never };

struct Options {
  std::string_view command;  // its name
  Access access = Access::read;
  std::vector<std::string> images;
  std::string files_from;       // a list of more images; "-": standard input
  bool null_separated = false;  // lists have a NUL behind each name, not a line's end
  std::string code;  // of explain

  Format format = Format::text;
  std::string output;  // a file for the report; empty: standard output
  std::string metrics;  // a file for node_exporter; empty: none
  std::string affected;  // a file for the list of files that are touched; empty: none
  bool syslog = false;  // a line an image to the system's log
  When color = When::automatic;
  When progress = When::automatic;
  bool quiet = false;
  bool verbose = false;

  std::string virtual_disk;     // what the images are: a format of ImageKind, or "raw"; empty: by their names
  bool follow_backing = false;  // open what the header of a virtual disk names, below its own folder
  std::optional<uint64_t> max_unpacked;  // bytes; nothing: by what the compressed image holds

  unsigned jobs = 0;  // 0: as many as the machine has
  std::optional<uint64_t> superblock;
  std::optional<uint32_t> block_size;
  std::optional<uint64_t> offset;  // bytes; nothing: the beginning, or the partitions of a disk
  int partition = 0;               // 0: all of a disk that hold ext file systems
  size_t max_partitions = kMostPartitions;
  size_t max_findings = 100'000;  // of an image that are reported one by one
  uint64_t max_rate = 0;  // bytes a second; 0: as fast as it goes
  bool nice = false;
  std::optional<bool> isolate;           // an image in a process of its own; nothing: as the environment has it
  std::optional<uint64_t> max_memory;    // bytes for such a process; nothing: what the machine has
  std::chrono::milliseconds timeout{0};  // for one image; 0: none
  std::string state;    // a directory for what the next run is to know; empty: none
  bool resume = false;  // go on where a stopped run has ended

  bool strict = false;  // of audit
  bool no_replay = false;  // of audit
  std::string journal;  // of audit and history: the image of an external journal
  bool data = false;       // of audit: read the contents of files too
  std::string bad_blocks;  // of audit: a list of badblocks, instead of reading
  std::optional<uint32_t> bad_block_size;  // bytes; nothing: as the file system's
  std::string ddrescue_map;  // of audit: instead of reading
  std::optional<uint64_t> history_block;  // of history
  std::optional<uint32_t> history_inode;
  std::string history_path;
  RepairPolicy repair = RepairPolicy::safe;
  bool drop_unflagged = false;  // --journal-replay=drop
  bool restore_lost = false;    // --restore-lost
  bool dry_run = false;
  std::string plan;  // of scrub: the report of a dry run that is to be carried out
  uint64_t overlay_memory = kDefaultOverlayMemory;  // bytes
  bool force = false;     // of scrub and undo
  std::string undo_file;  // of scrub: where to make it; empty: the default place. Of undo: the one to carry out
  bool no_undo = false;   // of scrub
  CommitWay way = CommitWay::automatic;  // of scrub
  QueueKind queue = QueueKind::automatic;
};

// Nothing to run: --help or --version (status 0, text for standard output), or a command line that cannot be understood
// (status 16, text for standard error).
struct Answer {
  int status = 0;
  std::string text;
};

struct Command;

// `arguments`: what stands behind the program's name.
[[nodiscard]] std::variant<Options, Answer> parse_options(const std::vector<std::string>& arguments,
                                                          std::span<const Command* const> commands);

}  // namespace extscrub
