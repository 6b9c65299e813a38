#include <nlohmann/json.hpp>

#include "tests/cli/cli_support.h"
#include "tests/support/catch.h"
#include "writeback/mark/sidecar.h"

using namespace extscrub;
using namespace extscrub::test;
namespace fs = std::filesystem;

namespace {

struct Audited {
  TempDir directory;
  fs::path image = write_ext_like(directory.path() / "disk.img");
  Tool tool;

  int status_of(Verdict verdict, std::vector<std::string> arguments = {}) {
    answer_audits_with(tool, audit_with(verdict));
    arguments.insert(arguments.begin(), "audit");
    arguments.push_back(image);
    return tool(arguments);
  }
};

}  // namespace

TEST_CASE("the exit status of an audit follows from the verdict") {
  Audited a;
  CHECK(a.status_of(Verdict::clean) == 0);
  CHECK(a.status_of(Verdict::recoverable) == 0);
  CHECK(a.status_of(Verdict::recoverable, {"--strict"}) == 4);
  CHECK(a.status_of(Verdict::clean, {"--strict"}) == 0);
  CHECK(a.status_of(Verdict::damaged) == 4);
}

TEST_CASE("the exit status of several images is ORed") {
  Audited a;
  CHECK(a.status_of(Verdict::damaged, {"/nonexistent/disk.img"}) == 12);
}

TEST_CASE("the last line of a report is the image and its verdict") {
  Audited a;
  CHECK(a.status_of(Verdict::clean) == 0);
  CHECK(a.tool.printed() == a.image.string() + ": clean\n");
  CHECK(a.tool.said().empty());
}

TEST_CASE("options of the command line reach the audit") {
  Audited a;
  AuditOptions seen;
  uint64_t offset = 0;
  a.tool.environment.engine.audit = [&](const Image& image, Overlay*, const AuditOptions& options) {
    seen = options;
    offset = image.offset();
    return audit_with(Verdict::clean);
  };
  REQUIRE(a.tool({"audit", "--jobs=3", "--superblock=8193", "--block-size=2048", "--offset=1K", a.image}) == 0);
  CHECK(seen.jobs == 3);
  CHECK(seen.superblock == 8193u);
  CHECK(seen.block_size == 2048u);
  CHECK(seen.progress != nullptr);
  CHECK(offset == 1024);
}

TEST_CASE("a journal's file that was of no use is named, with why") {
  Audited a;
  const std::string file = write_ext_like(a.directory.path() / "journal");
  const auto said = [&](bool present, bool external, std::vector<std::string> arguments = {}) {
    Audit audit = audit_with(Verdict::clean);
    audit.recovery.journal.present = present;
    audit.recovery.journal.external = external;
    answer_audits_with(a.tool, audit);
    arguments.insert(arguments.begin(), {"audit", "--journal", file});
    arguments.push_back(a.image);
    CHECK(a.tool(arguments) == 0);
    return a.tool.said();
  };
  const std::string begin = "extscrub: " + a.image.string() + ": warning: --journal " + file + " was not used: ";
  CHECK(said(true, false) == begin + "the file system's journal is its own, in the image\n");
  CHECK(said(false, false) == begin + "the file system has no journal\n");
  CHECK(said(true, true, {"--no-replay"}) == begin + "with --no-replay no journal is read\n");
  CHECK(said(true, true).empty());
  CHECK(a.status_of(Verdict::clean) == 0);
  CHECK(a.tool.said().empty());
}

TEST_CASE("an image that is mounted is audited with a warning") {
  Audited a;
  a.tool.environment.engine.in_use = [](const fs::path&) { return "it is mounted on /mnt"; };
  CHECK(a.status_of(Verdict::clean) == 0);
  CHECK(a.tool.said("extscrub: " + a.image.string() + ": warning: it is mounted on /mnt"));
  CHECK(a.tool.printed(": clean\n"));
}

TEST_CASE("bytes that the device does not give: errors are left, and the run has not done what it was to do", "[behaviour-7]") {
  Audited a;
  const std::string bytes = read_file(a.image);
  a.tool.environment.engine.audit = [](const Image&, Overlay*, const AuditOptions&) -> Result<Audit> {
    return audit_with(Verdict::damaged, {finding(Problem::read_error)});
  };
  CHECK(a.tool({"audit", a.image}) == 12);
  CHECK(a.tool.printed(": damaged"));
  CHECK(read_file(a.image) == bytes);
}

TEST_CASE("an image beside which a failed write is recorded is not called clean") {
  Audited a;
  write_file(sidecar_path(a.image), "write failed\n");
  CHECK(a.status_of(Verdict::clean) == 8);
  CHECK(a.tool.printed() == a.image.string() + ": errored\n");
  CHECK(a.tool.said(".extscrub-errored"));
}

TEST_CASE("a signal during the audit ends the run with 32 and no verdict") {
  Audited a;
  a.tool.environment.engine.audit = [&](const Image&, Overlay*, const AuditOptions& options) -> Result<Audit> {
    CHECK_FALSE(options.progress->cancelled());
    a.tool.stop = true;
    CHECK(options.progress->cancelled());
    return std::unexpected(Error::cancelled());
  };
  CHECK(a.tool({"audit", a.image, a.image}) == 32);
  CHECK(a.tool.printed() == a.image.string() + ": no verdict\n");
  CHECK(a.tool.said("1 of 2 images were not looked at"));
}

TEST_CASE("the reason an audit cannot be made is on standard error and in the JSON") {
  Audited a;
  a.tool.environment.engine.audit = [](const Image&, Overlay*, const AuditOptions&) -> Result<Audit> {
    return std::unexpected(Error{"the feature FEATURE_I31 is not known", ErrorKind::unknown_feature});
  };
  CHECK(a.tool({"audit", "--format=json", a.image}) == 8);
  CHECK(a.tool.said(": the feature FEATURE_I31 is not known\n"));
  const auto image = nlohmann::json::parse(a.tool.printed())["images"][0];
  CHECK(image["error"] == "the feature FEATURE_I31 is not known");
  CHECK(image["verdict"] == "unreadable");
  CHECK(image["exit_status"] == 8);
}

TEST_CASE("JSON of several images is one document") {
  Audited a;
  CHECK(a.status_of(Verdict::clean, {"--format=json", "/nonexistent/disk.img"}) == 8);
  const auto document = nlohmann::json::parse(a.tool.printed());
  REQUIRE(document["images"].size() == 2);
  CHECK(document["images"][0]["verdict"] == "unreadable");
  CHECK(document["images"][1]["verdict"] == "clean");
  CHECK(document["images"][1]["exit_status"] == 0);
}

TEST_CASE("JSON tells what was recovered first, unless nothing was to be") {
  Audited a;
  CHECK(a.status_of(Verdict::clean, {"--format=json"}) == 0);
  CHECK(nlohmann::json::parse(a.tool.printed())["images"][0]["recovery"]["needs_recovery"] == false);
  CHECK(a.status_of(Verdict::clean, {"--format=json", "--no-replay"}) == 0);
  CHECK(nlohmann::json::parse(a.tool.printed())["images"][0]["recovery"].is_null());
}

TEST_CASE("quiet prints nothing for clean images") {
  Audited a;
  CHECK(a.status_of(Verdict::clean, {"--quiet"}) == 0);
  CHECK(a.tool.printed().empty());
  CHECK(a.status_of(Verdict::damaged, {"--quiet"}) == 4);
  CHECK(a.tool.printed() == a.image.string() + ": damaged\n");
}

TEST_CASE("colour by the usual rules") {
  Audited a;
  const auto colored = [&](std::vector<std::string> arguments = {}) {
    (void)a.status_of(Verdict::damaged, std::move(arguments));
    return a.tool.printed("\x1b[");
  };
  CHECK_FALSE(colored());
  CHECK(colored({"--color=always"}));
  a.tool.environment.out_is_terminal = true;
  CHECK(colored());
  CHECK_FALSE(colored({"--color=never"}));
  a.tool.environment.no_color = true;
  CHECK_FALSE(colored());
  CHECK(colored({"--color=always"}));
}

TEST_CASE("a report that cannot be printed is an operational error") {
  Audited a;
  a.tool.out.setstate(std::ios::badbit);
  CHECK(a.status_of(Verdict::clean) == 8);
  CHECK(a.tool.said("standard output"));
}

TEST_CASE("an image whose size changes while it is audited has no verdict") {
  Audited a;
  a.tool.environment.engine.audit = [&](const Image& image, Overlay*, const AuditOptions&) {
    fs::resize_file(image.path(), 4096);
    return audit_with(Verdict::clean);
  };
  CHECK(a.tool({"audit", a.image}) == 8);
  CHECK(a.tool.said("its size changed from 65536 to 4096 bytes while it was audited"));
}
