// Options that several subcommands have in common, in groups; a subcommand adds those it takes, in the order of its --help.
// Each group sets fields of `o` when the command line is parsed.
#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "cli/options/options.h"
#include "cli/options/words.h"

namespace extscrub {

// One of the words that kWords has for a T. CLI11 checks that, and shows them in --help.
template <class T>
void add_choice(CLI::App& app, const std::string& option, T& value, const std::string& help,
                std::span<const Word<T>> words = kWords<T>) {
  std::vector<std::string> names;
  for (const auto& [word, meaning] : words) names.emplace_back(word);
  app.add_option_function<std::string>(
         option, [&value, words](const std::string& word) { value = std::ranges::find(words, word, &Word<T>::first)->second; },
         fmt::format("{} [{}]", help, std::ranges::find(words, value, &Word<T>::second)->first))
      ->check(CLI::IsMember(names).description(""))
      ->type_name(fmt::format("{}", fmt::join(names, "|")));
}

// `what` ends the sentence "TEXT is not ...".
[[nodiscard]] CLI::Validator must_be(std::string what, std::function<bool(const std::string&)> holds);
[[nodiscard]] CLI::Validator must_be_number(std::string what, uint64_t least, uint64_t most);
[[nodiscard]] CLI::Validator must_be_size(std::string what, uint64_t least = 0);  // bytes

// --format and --output. A report for build pipelines is one of images.
void add_report_options(CLI::App& app, Options& o, bool for_pipelines = false);
void add_progress_option(CLI::App& app, Options& o);
void add_queue_option(CLI::App& app, Options& o);
void add_journal_option(CLI::App& app, Options& o);
void add_jobs_option(CLI::App& app, Options& o);

// One image, and what kind of file it is.
void add_one_image(CLI::App& app, Options& o);
void add_disk_options(CLI::App& app, Options& o);
void add_unpack_option(CLI::App& app, Options& o);

// What of a file is the file system, and by what to go in it.
void add_place_options(CLI::App& app, Options& o);

// What one image may take, so that the others are done whatever it does.
void add_isolation_options(CLI::App& app, Options& o);

// Any number of images, and all that goes with a run over them.
void add_image_options(CLI::App& app, Options& o);

// To be called when all is parsed; they throw what parse_options() answers with.
void require_images(const Options& o);
[[nodiscard]] bool may_be_many(const Options& o);

}  // namespace extscrub
