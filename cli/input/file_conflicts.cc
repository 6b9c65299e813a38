#include "cli/input/file_conflicts.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

#include "cli/disk/image_kind.h"
#include "cli/files/file_kind.h"
#include "cli/input/undo_name.h"
#include "cli/text/escape.h"
#include "writeback/mark/sidecar.h"
#include "writeback/undo_log/undo_file.h"

namespace extscrub {

namespace {

namespace fs = std::filesystem;

// A file as an option names it.
struct NamedFile {
  std::string option, name;
};

// Where it is, or would be once somebody makes it.
fs::path place_of(const fs::path& name) {
  std::error_code error;
  // What is not there at all has a whole path only if it is given one.
  fs::path place = fs::weakly_canonical(fs::absolute(name, error), error);
  return error ? name.lexically_normal() : place;
}

// What tells one file from another.
class Identity {
 public:
  explicit Identity(const std::string& name) {
    struct stat st;
    if (::stat(name.c_str(), &st) == 0)
      file_ = {st.st_dev, st.st_ino};
    else
      place_ = place_of(name);
  }
  bool operator==(const Identity&) const = default;

 private:
  std::optional<std::pair<dev_t, ino_t>> file_;
  fs::path place_;  // of a file that is not there
};

struct Output {
  NamedFile file;
  Identity identity;
  fs::path place;
};

// Nothing is lost there that was not asked for twice.
bool keeps_nothing(const std::string& name) {
  struct stat st;
  return descriptor_of(name) || (::stat(name.c_str(), &st) == 0 && (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode)));
}

Output output(NamedFile file) {
  const Identity identity(file.name);
  const fs::path place = place_of(file.name);
  return {std::move(file), identity, place};
}

std::vector<Output> outputs_of(const Options& options) {
  std::vector<NamedFile> files = {{"--output", options.output}, {"--affected", options.affected}, {"--metrics", options.metrics}};
  if (options.access == Access::repair) files.push_back({"--undo-file", options.undo_file});
  std::vector<Output> outputs;
  for (NamedFile& file : files) {
    if (file.name.empty() || keeps_nothing(file.name)) continue;
    outputs.push_back(output(std::move(file)));
  }
  return outputs;
}

std::vector<NamedFile> inputs_of(const Options& options) {
  std::vector<NamedFile> files = {{"--journal", options.journal},
                                  {"--plan", options.plan},
                                  {"--files-from", options.files_from},
                                  {"--bad-blocks", options.bad_blocks},
                                  {"--ddrescue-map", options.ddrescue_map}};
  if (options.access == Access::put_back) files.push_back({"UNDO_FILE", options.undo_file});
  const bool is_list = options.files_from == "-";
  std::erase_if(files, [&](const NamedFile& f) { return f.name.empty() || (is_list && f.option == "--files-from"); });
  return files;
}

std::unexpected<Error> conflict(const Output& output, std::string_view what) {
  const std::string_view kind = output.file.option == "--state" ? "directory" : "file";
  return std::unexpected(Error{fmt::format("{}: {} would replace {}; give {} another {}", escape(output.file.name),
                                           output.file.option, what, output.file.option, kind)});
}

std::string quoted(const NamedFile& file) { return fmt::format("{} {}", file.option, escape(file.name)); }

bool is_below(const fs::path& place, const fs::path& folder) { return std::ranges::mismatch(folder, place).in1 == folder.end(); }

// The files beside an image that a later run goes by. What --undo-file makes may be called as an undo file is.
Result<void> check_beside(const Output& output, const std::string& image) {
  if (output.place == place_of(sidecar_path(image)))
    return conflict(output, "the record of failed writes to image " + escape(image));
  if (output.file.option != "--undo-file" && output.place.native().starts_with(place_of(undo_prefix(undo_name(image))).native()))
    return conflict(output, "an undo file of image " + escape(image));
  return {};
}

}  // namespace

Result<void> check_files_differ(const Options& options, std::span<const std::string> images) {
  const std::vector<Output> outputs = outputs_of(options);
  if (outputs.empty() && options.state.empty()) return {};
  for (const NamedFile& input : inputs_of(options)) {
    const Identity identity(input.name);
    for (const Output& output : outputs)
      if (output.identity == identity) return conflict(output, quoted(input));
  }
  // The undo file is the last: of two, the other has to go.
  for (size_t i = 0; i < outputs.size(); ++i)
    for (size_t k = i + 1; k < outputs.size(); ++k)
      if (outputs[i].identity == outputs[k].identity) return conflict(outputs[i], quoted(outputs[k].file));
  std::vector<Output> beside = outputs;
  if (!options.state.empty()) {
    const Output& state = beside.emplace_back(output({"--state", options.state}));
    for (const Output& output : outputs)
      if (is_below(output.place, state.place)) return conflict(output, "what is kept in " + quoted(state.file));
  }
  std::erase_if(beside, [](const Output& o) { return !o.place.native().contains(".extscrub-"); });
  for (const std::string& image : images) {
    if (!is_nbd_uri(image)) {
      const Identity identity(image);
      for (const Output& output : outputs)
        if (output.identity == identity) return conflict(output, "image " + escape(image));
    }
    for (const Output& output : beside)
      if (const auto differs = check_beside(output, image); !differs) return differs;
  }
  return {};
}

}  // namespace extscrub
