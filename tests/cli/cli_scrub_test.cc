#include <cerrno>
#include <nlohmann/json.hpp>

#include "cli/text/escape.h"
#include "tests/cli/cli_support.h"
#include "tests/support/catch.h"
#include "writeback/mark/sidecar.h"

using namespace extscrub;
using namespace extscrub::test;
namespace fs = std::filesystem;

namespace {

Finding safe_error(RepairState state) {
  Finding f = finding(Problem::block_bitmap_mismatch);
  f.group = GroupNo(0);
  f.block = BlockNo(20);
  f.repair = state;
  return f;
}

Finding hopeless_error(RepairState state) {
  Finding f = finding(Problem::extent_header);
  f.inode = InodeNo(12);
  f.repair = state;
  return f;
}

// A scrub with a stand-in for the repairs, which changes block 7, and for the commit.
struct Scrubbed {
  TempDir directory;
  fs::path image = write_ext_like(directory.path() / "disk.img");
  Tool tool;
  RepairPolicy policy{};
  bool change = true;  // whether the plan stages anything
  Audit before = audit_with(Verdict::damaged, {safe_error(RepairState::staged)});
  Audit after = audit_with(Verdict::clean);
  CommitReport commit;
  std::optional<CommitRequest> request;  // what commit() was asked for

  Scrubbed() {
    commit.outcome = CommitOutcome::committed;
    commit.armed = true;
    commit.blocks_written = 1;
    Engine& engine = tool.environment.engine;
    engine.plan_repairs = [this](const Image& bytes, RepairPolicy asked, const AuditOptions&) -> Result<RepairPlan> {
      policy = asked;
      RepairPlan plan;
      plan.before = before;
      plan.after = after;
      plan.proven_clean = after.verdict == Verdict::clean;
      plan.overlay.emplace(bytes, 1024);
      if (change) (*plan.overlay->edit(BlockNo(7)))[0] = std::byte{1};
      return plan;
    };
    engine.commit = [this](const CommitRequest& asked, const ImageLock&) {
      request = asked;
      return commit;
    };
  }

  int operator()(std::vector<std::string> arguments = {}) {
    arguments.insert(arguments.begin(), "scrub");
    arguments.push_back(image);
    return tool(arguments);
  }
  [[nodiscard]] std::string verdict() const {
    const std::string text = tool.printed();
    const size_t begin = text.rfind(image.string() + ": ") + image.string().size() + 2;
    return text.substr(begin, text.find_first_of(" \n", begin) - begin);
  }
};

}  // namespace

TEST_CASE("a repair that is written and proven is reported as repaired, exit 1") {
  Scrubbed s;
  CHECK(s({"--queue=threads"}) == 1);
  CHECK(s.verdict() == "repaired");
  CHECK(s.tool.printed("[repaired]"));
  CHECK(s.tool.printed("1 block written, flushed and read back"));
  REQUIRE(s.request);
  CHECK(s.request->path == s.image);
  CHECK(s.request->block_size == 1024);
  CHECK(s.request->queue == QueueKind::threads);
  REQUIRE(s.request->blocks.size() == 1);
  CHECK(s.request->blocks[0].block == BlockNo(7));
}

TEST_CASE("the repair policy reaches the plan") {
  Scrubbed s;
  CHECK(s() == 1);
  CHECK(s.policy == RepairPolicy::safe);
  CHECK(s({"--repair=all"}) == 1);
  CHECK(s.policy == RepairPolicy::all);
  CHECK(s({"--repair=none"}) == 1);
  CHECK(s.policy == RepairPolicy::none);
}

TEST_CASE("errors that are left after a repair make exit 1 and 4") {
  Scrubbed s;
  s.before.findings.push_back(hopeless_error(RepairState::left));
  s.after = audit_with(Verdict::damaged, {hopeless_error(RepairState::none)});
  CHECK(s() == 5);
  CHECK(s.verdict() == "damaged");
  CHECK(s.tool.printed("(2 errors; 1 repaired, 1 left)"));
}

TEST_CASE("what only the last audit could see is reported too") {
  Scrubbed s;
  s.after = audit_with(Verdict::damaged, {hopeless_error(RepairState::none)});
  CHECK(s() == 5);
  CHECK(s.tool.printed("extent-header-invalid"));
}

TEST_CASE("a sound image is not written to") {
  Scrubbed s;
  s.change = false;
  s.before = audit_with(Verdict::clean);
  CHECK(s() == 0);
  CHECK_FALSE(s.request);
  CHECK(s.tool.printed() == s.image.string() + ": clean\n");
}

TEST_CASE("damage without a repair is not written to, exit 4") {
  Scrubbed s;
  s.change = false;
  s.before = audit_with(Verdict::damaged, {hopeless_error(RepairState::left)});
  CHECK(s() == 4);
  CHECK_FALSE(s.request);
  CHECK(s.verdict() == "damaged");
}

TEST_CASE("a dry run reports the blocks and writes nothing") {
  Scrubbed s;
  const std::string bytes = read_file(s.image);
  CHECK(s({"--dry-run"}) == 4);
  CHECK_FALSE(s.request);
  CHECK(s.verdict() == "damaged");
  CHECK(s.tool.printed("would write block 7: "));
  CHECK(s.tool.printed("[would be repaired]"));
  CHECK(read_file(s.image) == bytes);

  CHECK(s({"--dry-run", "--format=json"}) == 4);
  const auto repairs = nlohmann::json::parse(s.tool.printed())["images"][0]["repairs"];
  CHECK(repairs["dry_run"] == true);
  CHECK(repairs["blocks"][0]["block"] == 7);
  CHECK(repairs["blocks"][0]["before"] != repairs["blocks"][0]["after"]);
}

TEST_CASE("a write that failed makes the image errored, exit 8, and nothing is called repaired", "[behaviour-18]") {
  Scrubbed s;
  s.commit.outcome = CommitOutcome::errored;
  s.commit.cause = Failure{CommitStep::write, BlockNo(7), EIO, 1};
  CHECK(s() == 8);
  CHECK(s.verdict() == "errored");
  CHECK(s.tool.said("extscrub: " + s.image.string() + ": writing block 7 failed: Input/output error; "));
  CHECK(s.tool.printed("[not repaired]"));
  CHECK_FALSE(s.tool.printed("[repaired]"));
}

TEST_CASE("a commit that is refused leaves the damage, exit 4 and 8") {
  Scrubbed s;
  s.commit.outcome = CommitOutcome::refused;
  s.commit.cause = Refusal{.reason = RefusalReason::changed, .block = BlockNo(7)};
  CHECK(s() == 12);
  CHECK(s.verdict() == "damaged");
  CHECK(s.tool.said("is untouched: block 7 has changed since it was read"));
}

TEST_CASE("a signal during the commit leaves the image armed, exit 32 and 8") {
  Scrubbed s;
  s.commit.outcome = CommitOutcome::cancelled;
  CHECK(s() == 40);
  CHECK(s.verdict() == "damaged");
}

TEST_CASE("a signal before the first write is a cancelled audit") {
  Scrubbed s;
  s.commit.outcome = CommitOutcome::cancelled;
  s.commit.armed = false;
  CHECK(s() == 32);
}

TEST_CASE("a plan is carried out, and refused when it does not fit any more") {
  Scrubbed s;
  CHECK(s({"--dry-run", "--format=json", "--repair=all"}) == 4);
  const nlohmann::json report = nlohmann::json::parse(s.tool.printed());
  const auto with_plan = [&](const nlohmann::json& plan) {
    const fs::path file = write_file(s.image.string() + ".plan", plan.dump());
    s.request = {};
    return s({"--plan", file.string()});
  };
  CHECK(with_plan(report) == 1);
  CHECK(s.request);

  const char* const changed[] = {"before", "after"};
  for (const char* key : changed) {
    nlohmann::json other = report;
    other["images"][0]["repairs"]["blocks"][0][key] = "0123";
    CHECK(with_plan(other) == 8);
    CHECK_FALSE(s.request);
    CHECK(s.tool.said("does not fit the image any more: block 7"));
  }
  nlohmann::json fewer = report;
  fewer["images"][0]["repairs"]["blocks"].clear();
  CHECK(with_plan(fewer) == 8);
  CHECK_FALSE(s.request);

  CHECK(with_plan(nlohmann::json::object()) == 8);
  CHECK(s.tool.said("is no plan of a scrub"));
  nlohmann::json no_dry_run = report;
  no_dry_run["images"][0]["repairs"]["dry_run"] = false;
  CHECK(with_plan(no_dry_run) == 8);
  CHECK(s({"--plan", "/does/not/exist"}) == 8);
  CHECK_FALSE(s.request);
}

TEST_CASE("an image whose journal on another device has to be replayed is not written to") {
  Scrubbed s;
  s.before.findings.push_back(finding(Problem::journal_needs_recovery));
  s.before.recovery.journal.external = s.before.recovery.journal.flagged = true;
  CHECK(s() == 4);
  CHECK_FALSE(s.request);
  CHECK(s.tool.said("-E journal_only"));
  CHECK_FALSE(s.tool.printed("would be repaired"));
}

TEST_CASE("an image with the record of a failed write is refused unless forced", "[behaviour-21]") {
  Scrubbed s;
  const fs::path sidecar = write_file(sidecar_path(s.image), "write failed\n");
  CHECK(s() == 8);
  CHECK_FALSE(s.request);
  CHECK(s.verdict() == "errored");
  CHECK(s.tool.said(sidecar.string()));
  CHECK(s.tool.said("remove that file"));

  s.after = audit_with(Verdict::damaged, {hopeless_error(RepairState::left)});
  (void)s({"--force"});
  CHECK(s.request);
  CHECK(fs::exists(sidecar));

  s.after = audit_with(Verdict::clean);
  (void)s({"--force", "--dry-run"});
  CHECK(fs::exists(sidecar));
  CHECK(s({"--force"}) == 1);
  CHECK_FALSE(fs::exists(sidecar));
  CHECK(s.tool.said("has been removed"));
}

TEST_CASE("the message of a failed write names the image once") {
  Scrubbed s;
  s.commit.outcome = CommitOutcome::errored;
  s.commit.cause = Failure{CommitStep::write, BlockNo(7), EIO, 1};
  CHECK(s() == 8);
  CHECK(s.tool.said("extscrub: " + s.image.string() + ": writing block 7 failed: Input/output error; "));
}

TEST_CASE("an image in use or locked is refused before it is read", "[behaviour-28][behaviour-29]") {
  Scrubbed s;
  s.tool.environment.engine.lock = [](const fs::path& path) -> Result<ImageLock> {
    return std::unexpected(Error{.subject = path.string(), .after = " is locked: another scrub works on it"});
  };
  CHECK(s() == 8);
  CHECK_FALSE(s.request);
  CHECK(s.tool.said() == "extscrub: " + s.image.string() + ": is locked: another scrub works on it\n");
  CHECK(s.tool.printed() == s.image.string() + ": no verdict\n");
}

TEST_CASE("two scrubs at once: the second is refused by the lock of the first") {
  Scrubbed s;
  Tool second;
  int status = 0;
  s.tool.environment.engine.commit = [&](const CommitRequest&, const ImageLock&) {
    status = second({"scrub", s.image});
    return s.commit;
  };
  CHECK(s() == 1);
  CHECK(status == 8);
  CHECK(second.said("locked"));
}

TEST_CASE("a signal while the repairs are proven: nothing is written, exit 32") {
  Scrubbed s;
  const auto plan = s.tool.environment.engine.plan_repairs;
  s.tool.environment.engine.plan_repairs = [&](const Image& image, RepairPolicy policy, const AuditOptions& options) {
    s.tool.stop = true;
    return plan(image, policy, options);
  };
  CHECK(s() == 32);
  CHECK_FALSE(s.request);
  CHECK(s.tool.said("nothing was written"));
}

TEST_CASE("where the undo file goes: beside the image, or where it is told, or nowhere") {
  Scrubbed s;
  CHECK(s() == 1);
  REQUIRE(s.request->undo);
  CHECK(s.request->undo->path.string().starts_with(s.image.string() + ".extscrub-undo-20"));
  CHECK(s.request->undo->number_when_taken);
  CHECK(s({"--undo-file", "elsewhere"}) == 1);
  REQUIRE(s.request->undo);
  CHECK(s.request->undo->path == "elsewhere");
  CHECK_FALSE(s.request->undo->number_when_taken);
  CHECK(s({"--no-undo"}) == 1);
  CHECK_FALSE(s.request->undo);
}

TEST_CASE("the report names the undo file and the command for it, also when the repair failed") {
  Scrubbed s;
  s.commit.outcome = GENERATE(CommitOutcome::committed, CommitOutcome::errored, CommitOutcome::cancelled);
  s.commit.undo = UndoLogState::kept;
  s.commit.undo_file = "an undo's file";
  s.commit.undo_bytes = 4711;
  (void)s();
  const std::string command = "extscrub undo 'an undo'\\''s file' " + s.image.string();
  CHECK(s.tool.printed("`" + escape(command) + "`"));
  (void)s({"--format=json"});
  const auto undo = nlohmann::json::parse(s.tool.printed())["images"][0]["writeback"]["undo"];
  CHECK(undo["state"] == "kept");
  CHECK(undo["file"] == "an undo's file");
  CHECK(undo["bytes"] == 4711);
  CHECK(undo["command"] == command);
}

TEST_CASE("the report does not take the place of the undo file") {
  Scrubbed s;
  const std::string undo = s.directory.path() / "undo";
  CHECK(s({"--undo-file", undo, "--output", (s.directory.path() / "." / "undo").string()}) == 16);
  CHECK_FALSE(s.request);
}

TEST_CASE("a report whose name becomes that of the undo file meanwhile leaves the file as it is") {
  Scrubbed s;
  const std::string undo = write_file(s.directory.path() / "elsewhere", "old bytes"), report = s.directory.path() / "report";
  s.commit.undo_file = undo;
  s.tool.environment.engine.commit = [&](const CommitRequest&, const ImageLock&) {
    fs::create_hard_link(undo, report);
    return s.commit;
  };
  const std::string option = GENERATE(as<std::string>(), "--output", "--metrics");
  CHECK((s({option, report}) & 8) != 0);
  CHECK(s.tool.said("undo file of this run"));
  CHECK(read_file(report) == "old bytes");
}

TEST_CASE("a file that takes the image's name in the meantime is not written to") {
  Scrubbed s;
  const fs::path other = write_ext_like(s.directory.path() / "other.img");
  const std::string bytes = read_file(other);
  const auto swap = [&] {
    fs::rename(s.image, s.directory.path() / "away.img");
    fs::create_symlink(other, s.image);
  };
  Engine& engine = s.tool.environment.engine;
  SECTION("after it was opened") {
    engine.lock = [&](const fs::path& path) {
      swap();
      return ImageLock::acquire(path);
    };
  }
  SECTION("while it is audited") {
    const auto plan = engine.plan_repairs;
    engine.plan_repairs = [=](const Image& image, RepairPolicy policy, const AuditOptions& options) {
      swap();
      return plan(image, policy, options);
    };
    engine.commit = extscrub::commit;
  }
  CHECK((s() & 8) != 0);
  CHECK(s.tool.said("was replaced by another file"));
  CHECK_FALSE(s.request);
  CHECK(read_file(other) == bytes);
}
