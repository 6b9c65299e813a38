// What a run writes is no other file of the run, by whatever name.
#include <filesystem>

#include "cli/input/file_conflicts.h"
#include "tests/cli/cli_support.h"
#include "tests/support/catch.h"

using namespace extscrub;
using namespace extscrub::test;
namespace fs = std::filesystem;

namespace {

// A folder with an image, a list, and a folder `d` to go through and come back from.
struct Folder {
  TempDir directory;
  std::string image = write_ext_like(at("a.img")), list = write_file(at("list"), "0\n");

  Folder() { fs::create_directory(at("d")); }
  [[nodiscard]] std::string at(const std::string& name) const { return directory.path() / name; }
  // The message; empty: all differ.
  [[nodiscard]] std::string conflict(const std::vector<std::pair<std::string Options::*, std::string>>& files,
                                     Access access = Access::read) const {
    Options options;
    options.access = access;
    for (const auto& [option, file] : files) options.*option = file;
    const std::vector<std::string> images{image};
    const auto differ = check_files_differ(options, images);
    return differ ? "" : text_of(differ.error());
  }
};

}  // namespace

TEST_CASE("no report replaces a file that the run reads", "[files]") {
  const Folder f;
  fs::create_symlink("list", f.at("link"));
  fs::create_hard_link(f.list, f.at("hard"));
  for (const std::string& name : {f.list, f.at("d/../list"), f.at("link"), f.at("hard")}) {
    CHECK(f.conflict({{&Options::output, name}, {&Options::journal, f.list}}) ==
          name + ": --output would replace --journal " + f.list + "; give --output another file");
    CHECK(f.conflict({{&Options::metrics, name}, {&Options::plan, f.list}}, Access::repair)
              .contains("--metrics would replace --plan"));
    CHECK(f.conflict({{&Options::files_from, f.list}, {&Options::output, name}}).contains("--files-from"));
    CHECK(f.conflict({{&Options::output, name}, {&Options::bad_blocks, f.list}}).contains("--bad-blocks"));
    CHECK(f.conflict({{&Options::metrics, name}, {&Options::ddrescue_map, f.list}}).contains("--ddrescue-map"));
    CHECK(f.conflict({{&Options::output, name}, {&Options::undo_file, f.list}}, Access::put_back).contains("UNDO_FILE"));
  }
  CHECK(f.conflict({{&Options::output, f.at("d/../a.img")}}).contains("image " + f.image));
  CHECK(f.conflict({{&Options::metrics, f.image}}).contains("image " + f.image));
  CHECK(f.conflict({{&Options::undo_file, f.image}}, Access::repair).contains("--undo-file would replace image"));
  CHECK(f.conflict({{&Options::files_from, "-"}, {&Options::output, f.at("-")}}).empty());
  CHECK(f.conflict({{&Options::output, f.at("report")}, {&Options::journal, f.list}}).empty());
}

TEST_CASE("no two files that a run makes are one", "[files]") {
  const Folder f;
  const std::string made = f.at("made"), again = f.at("d/../made");
  CHECK(f.conflict({{&Options::output, made}, {&Options::metrics, again}}).contains("--output would replace --metrics"));
  CHECK(f.conflict({{&Options::output, again}, {&Options::undo_file, made}}, Access::repair)
            .contains("--output would replace --undo-file"));
  CHECK(f.conflict({{&Options::metrics, again}, {&Options::undo_file, made}}, Access::repair)
            .contains("--metrics would replace --undo-file"));
  CHECK(f.conflict({{&Options::output, made}, {&Options::metrics, f.at("other")}, {&Options::undo_file, f.at("undo")}},
                   Access::repair)
            .empty());
  // A name without a folder, and the same with one.
  const std::string alone = "extscrub-test-that-is-not-there";
  CHECK(f.conflict({{&Options::metrics, "./" + alone}, {&Options::undo_file, alone}}, Access::repair)
            .contains("--metrics would replace"));
  CHECK(f.conflict({{&Options::metrics, fs::absolute(alone)}, {&Options::undo_file, alone}}, Access::repair)
            .contains("--metrics would replace"));
}

TEST_CASE("no report is among the files of the state, or beside an image as one of its own", "[files]") {
  const Folder f;
  CHECK(f.conflict({{&Options::output, f.at("st/x.json")}, {&Options::state, f.at("st")}}).contains("--state"));
  CHECK(f.conflict({{&Options::metrics, f.at("d/x/y")}, {&Options::state, f.at("st/../d")}}).contains("--state"));
  CHECK(f.conflict({{&Options::output, f.at("state.json")}, {&Options::state, f.at("st")}}).empty());
  CHECK(f.conflict({{&Options::output, f.image + ".extscrub-errored"}}).contains("failed writes to image " + f.image));
  CHECK(f.conflict({{&Options::undo_file, f.at("d/../a.img.extscrub-errored")}}, Access::repair).contains("failed writes"));
  CHECK(f.conflict({{&Options::metrics, f.image + ".extscrub-undo-20261124T081200Z"}}).contains("an undo file of image"));
  CHECK(f.conflict({{&Options::undo_file, f.image + ".extscrub-undo-mine"}}, Access::repair).empty());
  CHECK(f.conflict({{&Options::output, f.at("b.img.extscrub-errored")}}).empty());
  const std::string mark = f.image + ".extscrub-errored";
  CHECK(f.conflict({{&Options::state, mark}}) ==
        mark + ": --state would replace the record of failed writes to image " + f.image + "; give --state another directory");
  CHECK(f.conflict({{&Options::state, f.image + ".extscrub-undo-20261124T081200Z"}}).contains("an undo file of image"));
  CHECK(f.conflict({{&Options::state, f.at("b.img.extscrub-errored")}}).empty());
}

TEST_CASE("what keeps nothing may be named twice", "[files]") {
  const Folder f;
  CHECK(f.conflict({{&Options::output, "/dev/null"}, {&Options::metrics, "/dev/null"}, {&Options::bad_blocks, "/dev/null"}})
            .empty());
  CHECK(f.conflict({{&Options::output, "/dev/stdout"}, {&Options::metrics, "/dev/fd/1"}}).empty());
}

TEST_CASE("an image of a list is not replaced, and nothing is made", "[files]") {
  const Folder f;
  write_file(f.list, f.image + "\n");
  Tool tool;
  answer_audits_with(tool, audit_with(Verdict::clean));
  const std::string bytes = read_file(f.image);
  CHECK(tool({"audit", "--files-from", f.list, "--output", f.at("d/../a.img"), "--state", f.at("st")}) == 16);
  CHECK(read_file(f.image) == bytes);
  CHECK_FALSE(fs::exists(f.at("st")));
  CHECK(tool.said() ==
        "extscrub: " + f.at("d/../a.img") + ": --output would replace image " + f.image + "; give --output another file\n");
}
