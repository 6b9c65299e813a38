#include "cli/options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <bit>
#include <cctype>
#include <charconv>
#include <functional>
#include <limits>
#include <memory>
#include <sstream>

#include "cli/escape.h"
#include "cli/exit_status.h"
#include "version.h"

namespace extscrub {

namespace {

// An option with a few named values. CLI11 checks that the word is one of them and shows them in --help.
template <class T>
using Words = std::vector<std::pair<std::string, T>>;

template <class T>
void add_choice(CLI::App& app, const std::string& option, T& value, const Words<T>& words, const std::string& help) {
  std::vector<std::string> names;
  std::string standard;
  for (const auto& [word, meaning] : words) {
    names.push_back(word);
    if (meaning == value) standard = word;
  }
  app.add_option_function<std::string>(
         option,
         [&value, words](const std::string& word) {
           value = std::ranges::find(words, word, &std::pair<std::string, T>::first)->second;
         },
         fmt::format("{} [{}]", help, standard))
      ->check(CLI::IsMember(names).description(""))
      ->type_name(fmt::format("{}", fmt::join(names, "|")));
}

const Words<When> kWhen = {{"auto", When::automatic}, {"always", When::always}, {"never", When::never}};

// The number at the beginning of `text`, and what stands behind it. CLI11 takes "-1" for a very large number.
std::optional<uint64_t> leading_number(std::string_view& text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return number;
}

std::optional<uint64_t> whole_number(std::string_view text) {
  const auto number = leading_number(text);
  return text.empty() ? number : std::nullopt;
}

// Bytes, with a suffix for a power of 1024. The largest is what a file's offset can be.
std::optional<uint64_t> size_in_bytes(std::string_view text) {
  constexpr std::string_view kSuffixes = "KMGT";
  const auto number = leading_number(text);
  if (!number || text.size() > 1) return std::nullopt;
  const size_t suffix = text.empty() ? 0 : kSuffixes.find(static_cast<char>(std::toupper(text[0]))) + 1;
  if (!text.empty() && suffix == 0) return std::nullopt;
  const uint64_t most = static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) >> (10 * suffix);
  if (*number > most) return std::nullopt;
  return *number << (10 * suffix);
}

CLI::Validator must_be(std::string what, std::function<bool(const std::string&)> holds) {
  const auto check = [what = std::move(what), holds = std::move(holds)](const std::string& text) {
    return holds(text) ? std::string() : fmt::format("{} is not {}", text, what);
  };
  return CLI::Validator(check, "");
}

bool is_block_size(const std::string& text) {
  const auto size = whole_number(text);
  return size && std::has_single_bit(*size) && *size >= 1024 && *size <= 65536;
}

bool is_thread_count(const std::string& text) {
  const auto jobs = whole_number(text);
  return jobs && *jobs >= 1 && *jobs <= 1024;
}

bool is_partition(const std::string& text) {
  const auto number = whole_number(text);
  return number && *number >= 1 && *number <= 131072;
}

bool is_finding_count(const std::string& text) {
  const auto number = whole_number(text);
  return number && *number >= 1 && *number <= 1'000'000'000;
}

// One read takes up to 256K: below this rate it would take longer than anybody who stops the run wants to wait.
bool is_rate(const std::string& text) {
  const auto rate = size_in_bytes(text);
  return rate && *rate >= 64 << 10;
}

void add_disk_options(CLI::App& app, Options& o) {
  // qemu has an older name for VHD.
  const auto take = [&o](const std::string& word) { o.virtual_disk = word == "vhd" ? "vpc" : word; };
  app.add_option_function<std::string>("--virtual-disk", take,
                                       "What IMAGE is: qcow2, vmdk, vhdx, vhd or vdi; raw for none of them [by its name]")
      ->check(CLI::IsMember({"raw", "qcow2", "vmdk", "vhdx", "vhd", "vpc", "vdi"}).description(""))
      ->type_name("FORMAT");
  app.add_flag("--follow-backing", o.follow_backing, "Open what a virtual disk names, below its own folder");
}

// A number with a unit: "90" and "90s" are seconds.
std::optional<std::chrono::milliseconds> duration(std::string_view text) {
  static constexpr std::pair<std::string_view, int64_t> kUnits[] = {
      {"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}};
  constexpr uint64_t kMost = 1'000'000;
  const auto number = leading_number(text);
  const auto unit = std::ranges::find(kUnits, text, &std::pair<std::string_view, int64_t>::first);
  if (!number || *number == 0 || *number > kMost || unit == std::end(kUnits)) return std::nullopt;
  return std::chrono::milliseconds(static_cast<int64_t>(*number) * unit->second);
}

constexpr uint64_t kLeastMemory = uint64_t{64} << 20;  // bytes; less would do for no image

// `more`: formats that only some commands have.
void add_report_options(CLI::App& app, Options& o, const Words<Format>& more = {}) {
  Words<Format> formats = {{"text", Format::text}, {"json", Format::json}};
  formats.insert(formats.end(), more.begin(), more.end());
  add_choice<Format>(app, "--format", o.format, formats, "How to report");
  app.add_option("-o,--output", o.output, "Write the report to FILE")->type_name("FILE");
}

void add_progress_option(CLI::App& app, Options& o) {
  add_choice<When>(app, "--progress", o.progress, kWhen, "Show on standard error how far the run is");
}

void add_queue_option(CLI::App& app, Options& o) {
  add_choice<QueueKind>(
      app, "--queue", o.queue,
      {{"auto", QueueKind::automatic}, {"uring", QueueKind::io_uring}, {"threads", QueueKind::threads}},
      "How to write");
}

// What one image may take, so that the others are done whatever it does.
void add_isolation_options(CLI::App& app, Options& o) {
  const auto isolate =
      app.add_flag_callback("--isolate", [&o] { o.isolate = true; }, "Do each image in a process of its own (the default)");
  const auto together =
      app.add_flag_callback("--no-isolate", [&o] { o.isolate = false; }, "Do all images in one process, for debuggers");
  together->excludes(isolate);
  app.add_option_function<std::string>(
         "--timeout", [&o](const std::string& text) { o.timeout = duration(text).value_or(std::chrono::milliseconds(0)); },
         "Give up an image that takes longer (suffixes ms, s, m, h, d)")
      ->type_name("DURATION")
      ->check(must_be("a time such as 90s, 10m or 2h", [](const std::string& text) { return duration(text).has_value(); }));
  app.add_option_function<std::string>(
         "--max-memory", [&o](const std::string& text) { o.max_memory = size_in_bytes(text); },
         "Memory for the process of an image (suffixes K, M, G, T) [as much as there is]")
      ->type_name("SIZE")
      ->excludes(together)
      ->check(must_be("a size of at least 64M", [](const std::string& text) {
        const auto size = size_in_bytes(text);
        return size && *size >= kLeastMemory;
      }));
}

// What keeps a run that nobody waits for out of the way of others.
void add_schedule_options(CLI::App& app, Options& o) {
  app.add_option_function<std::string>(
         "--max-rate", [&o](const std::string& text) { o.max_rate = size_in_bytes(text).value_or(0); },
         "Read no more than RATE bytes a second (suffixes K, M, G, T)")
      ->type_name("RATE")
      ->check(must_be("a rate of at least 64K", is_rate));
  app.add_flag("--nice", o.nice, "Leave processors and disks to whoever else wants them");
  const auto state =
      app.add_option("--state", o.state, "Keep results in DIR, and report what is new since the last run");
  state->type_name("DIR");
  app.add_flag("--resume", o.resume, "Go on where a run over the same images was stopped")->needs(state);
}

void add_unpack_option(CLI::App& app, Options& o) {
  app.add_option_function<std::string>(
         "--max-unpacked", [&o](const std::string& text) { o.max_unpacked = size_in_bytes(text); },
         "Unpack no more than SIZE of a compressed image (suffixes K, M, G, T)")
      ->type_name("SIZE")
      ->check(must_be("a size such as 512M or 20G",
                      [](const std::string& text) { return size_in_bytes(text).has_value(); }));
}

void add_jobs_option(CLI::App& app, Options& o) {
  app.add_option("-j,--jobs", o.jobs, "Threads to work with [as many as the machine has]")
      ->type_name("N")
      ->check(must_be("a number from 1 to 1024", is_thread_count));
}

// What of a file is the file system, and by what to go in it.
void add_place_options(CLI::App& app, Options& o) {
  app.add_option("--superblock", o.superblock, "Go by the superblock in block N")
      ->type_name("N")
      ->check(must_be("a block number", [](const std::string& text) { return whole_number(text).has_value(); }));
  app.add_option("--block-size", o.block_size, "Block size of the file system")
      ->type_name("BYTES")
      ->check(must_be("a power of two from 1024 to 65536", is_block_size));
  const auto partition =
      app.add_option("--partition", o.partition, "Look at partition N of a disk only [all that hold ext2/3/4]")
          ->type_name("N")
          ->check(must_be("the number of a partition", is_partition));
  app.add_option_function<std::string>(
         "--offset", [&o](const std::string& text) { o.offset = size_in_bytes(text); },
         "Where in IMAGE the file system begins (suffixes K, M, G, T)")
      ->type_name("BYTES")
      ->check(must_be("a size such as 512, 64K or 1M",
                      [](const std::string& text) { return size_in_bytes(text).has_value(); }))
      ->excludes(partition);
  app.add_option("--max-partitions", o.max_partitions, "Look at no more than N partitions of a disk [256]")
      ->type_name("N")
      ->check(must_be("a number from 1 to 131072", is_partition));
}

void add_image_options(CLI::App& app, Options& o) {
  app.add_option("IMAGE", o.images,
                 "Image file, block device, virtual disk or NBD URI; - for a list of them on standard input")
      ->type_name("");
  app.add_option("--files-from", o.files_from, "Go on with the images listed in FILE, a line each")->type_name("FILE");
  app.add_flag("-0,--null", o.null_separated, "Lists have a NUL behind each name, as `find -print0` makes them");
  add_report_options(app, o, {{"junit", Format::junit}});
  add_disk_options(app, o);
  add_unpack_option(app, o);
  app.add_option("--affected", o.affected, "Write to FILE which files are touched or lost, a line each")->type_name("FILE");
  app.add_option("--metrics", o.metrics, "Write metrics to FILE, for the textfile collector of node_exporter")->type_name("FILE");
  app.add_flag("--syslog", o.syslog, "Send the verdict of each image to the system's log");
  add_jobs_option(app, o);
  add_progress_option(app, o);
  add_choice<When>(app, "--color", o.color, kWhen, "Colour the text report");
  const auto quiet = app.add_flag("-q,--quiet", o.quiet, "Report only images that are not clean, a line each");
  app.add_flag("-v,--verbose", o.verbose, "Report every finding by itself, geometry, times and rates")->excludes(quiet);
  add_place_options(app, o);
  app.add_option("--max-findings", o.max_findings, "Report no more than N findings of an image one by one, and count the rest [100000]")
      ->type_name("N")
      ->check(must_be("a number from 1 to 1000000000", is_finding_count));
  add_schedule_options(app, o);
  add_isolation_options(app, o);
}

void add_journal_option(CLI::App& app, Options& o) {
  app.add_option("--journal", o.journal, "Device or image that holds the external journal")->type_name("FILE");
}

void add_audit_options(CLI::App& app, Options& o) {
  app.add_flag("--strict", o.strict, "Exit 4 for a journal to replay and for partitions that were not audited, too");
  app.add_flag("--no-replay", o.no_replay, "Look at the image as it is stored, before any recovery");
  add_journal_option(app, o);
  const auto data = app.add_flag("--data", o.data, "Read the contents of files too");
  const auto bad_blocks =
      app.add_option("--bad-blocks", o.bad_blocks, "Instead of reading: the blocks that badblocks has listed in FILE");
  bad_blocks->type_name("FILE")->excludes(data);
  app.add_option("--bad-block-size", o.bad_block_size,
                 "What the numbers of --bad-blocks count [the file system's blocks]")
      ->type_name("BYTES")
      ->needs(bad_blocks)
      ->check(must_be("a power of two from 512 to 65536", [](const std::string& text) {
        return text == "512" || is_block_size(text);
      }));
  app.add_option("--ddrescue-map", o.ddrescue_map,
                 "Instead of reading: what GNU ddrescue could not read, by its mapfile FILE")
      ->type_name("FILE")
      ->excludes(data)
      ->excludes(bad_blocks);
}

void add_scrub_options(CLI::App& app, Options& o) {
  add_choice<RepairPolicy>(app, "--repair", o.repair,
                           {{"none", RepairPolicy::none}, {"safe", RepairPolicy::safe}, {"all", RepairPolicy::all}},
                           "Which repairs to make");
  add_choice<bool>(app, "--journal-replay", o.drop_unflagged, {{"auto", false}, {"drop", true}},
                   "With --repair=all, a log that is said not to be needed: replay it where that proves right, or drop it");
  app.add_flag("--restore-lost", o.restore_lost, "Put back from the journal also what only its age says to be lost");
  app.add_flag("-n,--dry-run", o.dry_run, "Stage and prove the repairs, but write nothing");
  app.add_option("--plan", o.plan, "Carry out the plan in FILE, the JSON report of a dry run, and nothing else")->type_name("FILE");
  app.add_option_function<std::string>(
         "--overlay-memory", [&o](const std::string& text) { o.overlay_memory = size_in_bytes(text).value_or(0); },
         "Memory for staged blocks, before a temporary file takes them (suffixes K, M, G, T) [256M]")
      ->type_name("BYTES")
      ->check(must_be("a size such as 64M or 1G", [](const std::string& text) { return size_in_bytes(text).has_value(); }));
  app.add_flag("--force", o.force, "Go on although IMAGE.extscrub-errored says that an earlier write failed, or MMP that another host uses it");
  const auto undo_file =
      app.add_option("--undo-file", o.undo_file, "Save the old bytes in FILE [IMAGE.extscrub-undo-TIME]");
  undo_file->type_name("FILE");
  app.add_flag("--no-undo", o.no_undo, "Do not save the old bytes")->excludes(undo_file);
  add_choice<CommitWay>(
      app, "--commit", o.way,
      {{"auto", CommitWay::automatic}, {"journal", CommitWay::journal}, {"direct", CommitWay::direct}},
      "Write all blocks as one transaction of the image's journal, or in place");
  add_queue_option(app, o);
}

void add_undo_options(CLI::App& app, Options& o) {
  app.add_option("UNDO_FILE", o.undo_file, "What a scrub, or a tool of e2fsprogs, has saved")->required()->type_name("");
  app.add_option("IMAGE", o.images, "Image file, block device, virtual disk or NBD URI")
      ->required()
      ->expected(1)
      ->type_name("");
  add_report_options(app, o);
  add_disk_options(app, o);
  app.add_flag("--force", o.force, "Go on although the image has changed since, UNDO_FILE is not finished, or MMP says that another host uses it");
  add_progress_option(app, o);
  add_isolation_options(app, o);
  add_queue_option(app, o);
}

void add_history_options(CLI::App& app, Options& o) {
  app.add_option("IMAGE", o.images, "Image file, block device, virtual disk or NBD URI")->required()->expected(1)->type_name("");
  const auto block = app.add_option("--block", o.history_block, "Show every version that is left of block N");
  block->type_name("N")->check(must_be("a block number", [](const std::string& text) { return whole_number(text).has_value(); }));
  const auto inode = app.add_option("--inode", o.history_inode, "Show every version of inode N, and of the metadata that belongs to it");
  inode->type_name("N")->excludes(block)->check(must_be("the number of an inode", [](const std::string& text) {
    const auto number = whole_number(text);
    return number && *number >= 1 && *number <= std::numeric_limits<uint32_t>::max();
  }));
  app.add_option("--path", o.history_path, "The same for the inode at PATH in the file system")->type_name("PATH")->excludes(block)->excludes(inode);
  add_report_options(app, o);
  add_journal_option(app, o);
  add_disk_options(app, o);
  add_unpack_option(app, o);
  add_jobs_option(app, o);
  add_progress_option(app, o);
  add_place_options(app, o);
  add_isolation_options(app, o);
}

// CLI11's help without its remarks on each option (defaults, what excludes what): the texts here say it in words.
class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter() {
    column_width(32);
    label("SUBCOMMAND", "COMMAND");
    label("Positionals", "Arguments");
  }
  std::string make_option_opts(const CLI::Option* option) const override {
    const std::string type = option->get_type_name();
    const std::string repeated = option->get_positional() && option->get_expected_max() > 1 ? "..." : "";
    return (type.empty() ? "" : " " + type) + repeated;
  }
};

void describe(CLI::App& app) {
  app.formatter(std::make_shared<HelpFormatter>());
  app.set_help_flag("-h,--help", "Print this help and exit");
}

Answer usage_error(const std::string& reason) {
  return {kExitUsage, fmt::format("extscrub: {}\nTry `extscrub --help`.\n", escape(reason))};
}

Answer answer_of(const CLI::App& app, const CLI::ParseError& error, const std::vector<std::string>& arguments) {
  std::ostringstream out, err;
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) {
    app.exit(error, out, err);
    return {kExitOk, out.str()};
  }
  std::string reason = error.what();
  if (app.get_subcommands().empty())
    reason = arguments.empty()
                 ? "a command is needed: audit, scrub, undo, history, explain or checks"
                 : fmt::format("{} is not one of the commands audit, scrub, undo, history, explain and checks",
                               arguments.front());
  return usage_error(reason);
}

Command command_of(const CLI::App& app) {
  static const std::array<std::pair<std::string, Command>, 6> commands{{{"audit", Command::audit},
                                                                        {"scrub", Command::scrub},
                                                                        {"undo", Command::undo},
                                                                        {"history", Command::history},
                                                                        {"explain", Command::explain},
                                                                        {"checks", Command::checks}}};
  const std::string name = app.get_subcommands().front()->get_name();
  return std::ranges::find(commands, name, &std::pair<std::string, Command>::first)->second;
}

}  // namespace

std::variant<Options, Answer> parse_options(const std::vector<std::string>& arguments) {
  Options options;
  CLI::App app{"Audits and scrubs ext2, ext3 and ext4 images offline.", "extscrub"};
  describe(app);
  app.set_version_flag("--version", fmt::format("extscrub {}", kVersion), "Print the version and exit");
  app.require_subcommand(1);

  const auto audit = app.add_subcommand("audit", "Look for damage; never writes to an image")->group("Commands");
  add_image_options(*audit, options);
  add_audit_options(*audit, options);

  const auto scrub =
      app.add_subcommand("scrub", "Audit, and write the repairs that are proven to help")->group("Commands");
  add_image_options(*scrub, options);
  add_scrub_options(*scrub, options);

  const auto undo = app.add_subcommand("undo", "Put the bytes back that a scrub has written over")->group("Commands");
  add_undo_options(*undo, options);

  const auto history =
      app.add_subcommand("history", "Show what the journal still has of the past; never writes to an image")->group("Commands");
  add_history_options(*history, options);

  const auto explain =
      app.add_subcommand("explain", "Say what a problem is and what its repair does")->group("Commands");
  explain->add_option("CODE", options.code, "Code of a problem, as a report shows it")->required()->type_name("");
  add_report_options(*explain, options);

  const auto checks = app.add_subcommand("checks", "List all problems that an audit can find")->group("Commands");
  add_report_options(*checks, options);

  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));  // CLI11 takes them from the back
  } catch (const CLI::ParseError& error) {
    return answer_of(app, error, arguments);
  }
  options.command = command_of(app);
  const bool for_images = options.command == Command::audit || options.command == Command::scrub;
  const bool has_list = !options.files_from.empty() || std::ranges::count(options.images, "-") > 0;
  if (for_images && options.images.empty() && !has_list) return usage_error("IMAGE is required");
  if (options.command == Command::scrub && !options.undo_file.empty() && (options.images.size() > 1 || has_list))
    return usage_error("--undo-file is for one image");
  if ((options.images.size() > 1 || has_list) && !(options.bad_blocks.empty() && options.ddrescue_map.empty()))
    return usage_error("a list of what cannot be read is for one image");
  return options;
}

}  // namespace extscrub
