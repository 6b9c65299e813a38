#include <nlohmann/json.hpp>

#include "tests/cli/cli_support.h"
#include "tests/support/catch.h"
#include "writeback/mark/sidecar.h"

using namespace extscrub;
using namespace extscrub::test;

namespace {

// An undo with a stand-in for the work.
struct Undone {
  TempDir directory;
  std::filesystem::path image = write_ext_like(directory.path() / "disk.img");
  Tool tool;
  CommitReport commit;
  std::optional<UndoRequest> request;

  Undone() {
    commit.outcome = CommitOutcome::committed;
    commit.blocks_written = 3;
    tool.environment.engine.undo = [this](const UndoRequest& asked, const ImageLock&) {
      request = asked;
      return commit;
    };
  }
  int operator()(std::vector<std::string> options = {}) {
    std::vector<std::string> arguments{"undo", "log", image};
    arguments.insert(arguments.end(), options.begin(), options.end());
    return tool(arguments);
  }
};

}  // namespace

TEST_CASE("undo: exit 0, and the report says how many blocks are back") {
  Undone u;
  CHECK(u({"--queue=threads"}) == 0);
  REQUIRE(u.request);
  CHECK(u.request->log == "log");
  CHECK(u.request->image == u.image);
  CHECK(u.request->queue == QueueKind::threads);
  CHECK_FALSE(u.request->force);
  const std::string name = u.image.string();
  CHECK(u.tool.printed() == name + "\n  3 blocks put back, flushed and read back\n" + name + ": undone\n");

  CHECK(u({"--force", "--format=json"}) == 0);
  CHECK(u.request->force);
  const auto report = nlohmann::json::parse(u.tool.printed());
  CHECK(report["command"] == "undo");
  CHECK(report["images"][0]["undone"] == true);
  CHECK(report["images"][0]["undo_file"] == "log");
  CHECK(report["images"][0]["writeback"]["outcome"] == "committed");
}

TEST_CASE("undo of what is undone already: exit 0") {
  Undone u;
  u.commit = {};
  u.commit.outcome = CommitOutcome::nothing_to_do;
  CHECK(u() == 0);
  CHECK(u.tool.printed() == u.image.string() + ": undone (it had the old bytes already)\n");
}

TEST_CASE("undo that fails, is refused or is stopped: its exit status, and never called undone") {
  Undone u;
  u.commit.cause = Refusal{.reason = RefusalReason::log_unusable, .why = {"because"}};
  SECTION("errored") {
    u.commit.outcome = CommitOutcome::errored;
    CHECK(u() == 8);
  }
  SECTION("refused") {
    u.commit.outcome = CommitOutcome::refused;
    CHECK(u() == 8);
  }
  SECTION("stopped") {
    u.commit.outcome = CommitOutcome::cancelled;
    CHECK(u() == 32);
    u.commit.armed = true;
    CHECK(u() == 40);
  }
  CHECK(u.tool.said("because"));
  CHECK(u.tool.printed() == u.image.string() + ": not undone\n");
}

TEST_CASE("undo of an image in use is refused before anything is read") {
  Undone u;
  u.tool.environment.engine.lock = [](const std::filesystem::path& path) -> Result<ImageLock> {
    return std::unexpected(Error{.subject = path.string(), .after = " is in use: it is mounted on /mnt"});
  };
  CHECK(u() == 8);
  CHECK_FALSE(u.request);
  CHECK(u.tool.said("it is mounted on /mnt"));
}

TEST_CASE("undo warns of the record of a failed write, and leaves it") {
  Undone u;
  const auto sidecar = write_file(sidecar_path(u.image), "write failed\n");
  CHECK(u() == 0);
  CHECK(u.tool.said(sidecar.string()));
  CHECK(std::filesystem::exists(sidecar));
}

TEST_CASE("report of an undo does not take the place of the undo file or the image") {
  Undone u;
  const auto log = write_file(u.directory.path() / "log", "old bytes");
  CHECK(u.tool({"undo", "--output", log, log, u.image}) == 16);
  CHECK(u.tool({"undo", "--output", u.image, log, u.image}) == 16);
  CHECK(read_file(log) == "old bytes");
  CHECK_FALSE(u.request);
}
