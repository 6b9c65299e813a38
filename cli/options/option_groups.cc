#include "cli/options/option_groups.h"

#include <limits>

#include "cli/options/arguments.h"

namespace extscrub {

namespace {

constexpr auto kFormats = std::to_array<Word<Format>>({{"text", Format::text}, {"json", Format::json}, {"junit", Format::junit}});

constexpr uint64_t kLeastMemory = uint64_t{64} << 20;  // bytes; less would do for no image
// One read takes up to 256K: below this rate it would take longer than anybody who stops the run wants to wait.
constexpr uint64_t kLeastRate = 64 << 10;

// What keeps a run that nobody waits for out of the way of others.
void add_schedule_options(CLI::App& app, Options& o) {
  app.add_option_function<std::string>(
         "--max-rate", [&o](const std::string& text) { o.max_rate = size_in_bytes(text).value_or(0); },
         "Read no more than RATE bytes a second (suffixes K, M, G, T)")
      ->type_name("RATE")
      ->check(must_be_size("a rate of at least 64K", kLeastRate));
  app.add_flag("--nice", o.nice, "Leave processors and disks to whoever else wants them");
  const auto state = app.add_option("--state", o.state, "Keep results in DIR, and report what is new since the last run");
  state->type_name("DIR");
  app.add_flag("--resume", o.resume, "Go on where a run over the same images was stopped")->needs(state);
}

}  // namespace

CLI::Validator must_be(std::string what, std::function<bool(const std::string&)> holds) {
  const auto check = [what = std::move(what), holds = std::move(holds)](const std::string& text) {
    return holds(text) ? std::string() : fmt::format("{} is not {}", text, what);
  };
  return CLI::Validator(check, "");
}

CLI::Validator must_be_number(std::string what, uint64_t least, uint64_t most) {
  return must_be(std::move(what), [=](const std::string& text) { return is_number_within(text, least, most); });
}

CLI::Validator must_be_size(std::string what, uint64_t least) {
  return must_be(std::move(what),
                 [=](const std::string& text) { return size_in_bytes(text).value_or(0) >= least && size_in_bytes(text); });
}

void add_report_options(CLI::App& app, Options& o, bool for_pipelines) {
  const std::span<const Word<Format>> formats = kFormats;
  add_choice<Format>(app, "--format", o.format, "How to report", formats.first(for_pipelines ? 3 : 2));
  app.add_option("-o,--output", o.output, "Write the report to FILE")->type_name("FILE");
}

void add_progress_option(CLI::App& app, Options& o) {
  add_choice(app, "--progress", o.progress, "Show on standard error how far the run is");
}

void add_queue_option(CLI::App& app, Options& o) { add_choice(app, "--queue", o.queue, "How to write"); }

void add_journal_option(CLI::App& app, Options& o) {
  app.add_option("--journal", o.journal, "Device or image that holds the external journal")->type_name("FILE");
}

void add_jobs_option(CLI::App& app, Options& o) {
  app.add_option("-j,--jobs", o.jobs, "Threads to work with [as many as the machine has]")
      ->type_name("N")
      ->check(must_be_number("a number from 1 to 1024", 1, 1024));
}

void add_one_image(CLI::App& app, Options& o) {
  app.add_option("IMAGE", o.images, "Image file, block device, virtual disk or NBD URI")->required()->expected(1)->type_name("");
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

void add_unpack_option(CLI::App& app, Options& o) {
  app.add_option_function<std::string>(
         "--max-unpacked", [&o](const std::string& text) { o.max_unpacked = size_in_bytes(text); },
         "Unpack no more than SIZE of a compressed image (suffixes K, M, G, T)")
      ->type_name("SIZE")
      ->check(must_be_size("a size such as 512M or 20G"));
}

void add_place_options(CLI::App& app, Options& o) {
  app.add_option("--superblock", o.superblock, "Go by the superblock in block N")
      ->type_name("N")
      ->check(must_be_number("a block number", 0, std::numeric_limits<uint64_t>::max()));
  app.add_option("--block-size", o.block_size, "Block size of the file system")
      ->type_name("BYTES")
      ->check(must_be("a power of two from 1024 to 65536", is_block_size));
  const auto partition = app.add_option("--partition", o.partition, "Look at partition N of a disk only [all that hold ext2/3/4]")
                             ->type_name("N")
                             ->check(must_be_number("the number of a partition", 1, 131072));
  app.add_option_function<std::string>(
         "--offset", [&o](const std::string& text) { o.offset = size_in_bytes(text); },
         "Where in IMAGE the file system begins (suffixes K, M, G, T)")
      ->type_name("BYTES")
      ->check(must_be_size("a size such as 512, 64K or 1M"))
      ->excludes(partition);
  app.add_option("--max-partitions", o.max_partitions, "Look at no more than N partitions of a disk [256]")
      ->type_name("N")
      ->check(must_be_number("a number from 1 to 131072", 1, 131072));
}

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
      ->check(must_be_size("a size of at least 64M", kLeastMemory));
}

void add_image_options(CLI::App& app, Options& o) {
  app.add_option("IMAGE", o.images, "Image file, block device, virtual disk or NBD URI; - for a list of them on standard input")
      ->type_name("");
  app.add_option("--files-from", o.files_from, "Go on with the images listed in FILE, a line each")->type_name("FILE");
  app.add_flag("-0,--null", o.null_separated, "Lists have a NUL behind each name, as `find -print0` makes them");
  add_report_options(app, o, true);
  add_disk_options(app, o);
  add_unpack_option(app, o);
  app.add_option("--affected", o.affected, "Write to FILE which files are touched or lost, a line each")->type_name("FILE");
  app.add_option("--metrics", o.metrics, "Write metrics to FILE, for the textfile collector of node_exporter")->type_name("FILE");
  app.add_flag("--syslog", o.syslog, "Send the verdict of each image to the system's log");
  add_jobs_option(app, o);
  add_progress_option(app, o);
  add_choice(app, "--color", o.color, "Colour the text report");
  const auto quiet = app.add_flag("-q,--quiet", o.quiet, "Report only images that are not clean, a line each");
  app.add_flag("-v,--verbose", o.verbose, "Report every finding by itself, geometry, times and rates")->excludes(quiet);
  add_place_options(app, o);
  app.add_option("--max-findings", o.max_findings,
                 "Report no more than N findings of an image one by one, and count the rest [100000]")
      ->type_name("N")
      ->check(must_be_number("a number from 1 to 1000000000", 1, 1'000'000'000));
  add_schedule_options(app, o);
  add_isolation_options(app, o);
}

bool may_be_many(const Options& o) {
  return o.images.size() > 1 || !o.files_from.empty() || std::ranges::count(o.images, "-") > 0;
}

void require_images(const Options& o) {
  if (o.images.empty() && o.files_from.empty()) throw CLI::ValidationError("IMAGE is required");
}

}  // namespace extscrub
