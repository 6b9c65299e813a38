// The state directory: what is new since the last run, and where a stopped run goes on.
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "cli/report/report.h"
#include "cli/state/last_result.h"
#include "tests/cli/cli_support.h"
#include "tests/support/catch.h"

using namespace extscrub;
using namespace extscrub::test;
namespace fs = std::filesystem;

namespace {

const Finding kBlocks = at_inode(Problem::inode_blocks, 12), kLinks = at_inode(Problem::inode_links, 13);

struct Nightly {
  TempDir directory;
  fs::path state = directory.path() / "state";
  fs::path image = write_ext_like(directory.path() / "disk.img");
  Tool tool;

  int audit(const Audit& audit, std::vector<std::string> more = {}) {
    answer_audits_with(tool, audit);
    return run(std::move(more));
  }
  int audit(Verdict verdict, std::vector<Finding> findings = {}, std::vector<std::string> more = {}) {
    return audit(audit_with(verdict, std::move(findings)), std::move(more));
  }
  int run(std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"audit", "--state", state, image});
    return tool(more);
  }
  [[nodiscard]] std::vector<fs::path> files() const { return {fs::directory_iterator(state), fs::directory_iterator()}; }
  [[nodiscard]] nlohmann::json report() const { return nlohmann::json::parse(tool.printed())["images"][0]; }
};

}  // namespace

TEST_CASE("the first run with a state reports as one without") {
  Nightly n;
  CHECK(n.audit(Verdict::damaged, {kBlocks}) == 4);
  CHECK_FALSE(n.tool.printed("since"));
  CHECK(n.tool.said().empty());
  REQUIRE(n.files().size() == 1);
  struct stat st;
  REQUIRE(::stat(n.files()[0].c_str(), &st) == 0);
  CHECK((st.st_mode & 07777) == 0600);
  REQUIRE(::stat(n.state.c_str(), &st) == 0);
  CHECK((st.st_mode & 07777) == 0700);
}

TEST_CASE("the second run tells what is new, what is known and what is gone") {
  Nightly n;
  CHECK(n.audit(Verdict::damaged, {kBlocks}) == 4);
  CHECK(n.audit(Verdict::damaged, {kBlocks, kLinks}) == 4);
  const std::string text = n.tool.printed();
  CAPTURE(text);
  const size_t fresh = text.find(" new since 20"), links = text.find("inode-links-count"), known = text.find(" known:\n"),
               blocks = text.find("inode-blocks-count");
  REQUIRE(blocks != std::string::npos);
  CHECK(fresh < links);
  CHECK(links < known);
  CHECK(known < blocks);
  CHECK(n.tool.printed(": damaged (2 errors; 1 new since 20"));

  CHECK(n.audit(Verdict::damaged, {kLinks}) == 4);
  CHECK(n.tool.printed(" gone since 20"));
  CHECK(n.tool.printed(": damaged (1 error; 1 gone since 20"));
  CHECK(n.audit(Verdict::damaged, {kLinks}) == 4);
  CHECK(n.tool.printed(": damaged (1 error; nothing new since 20"));
  CHECK(n.audit(Verdict::clean) == 0);
  CHECK(n.tool.printed(": clean (1 gone since 20"));
  CHECK(n.audit(Verdict::clean) == 0);
  CHECK(n.tool.printed() == n.image.string() + ": clean\n");
}

TEST_CASE("a finding with other values in the same place is no new one") {
  Nightly n;
  CHECK(n.audit(Verdict::damaged, {kBlocks}) == 4);
  Finding other = kBlocks;
  other.evidence = WrongNumber{5, 7};
  other.path = "/renamed";
  CHECK(n.audit(Verdict::damaged, {other}) == 4);
  CHECK(n.tool.printed("nothing new"));
  other.inode = InodeNo(14);
  CHECK(n.audit(Verdict::damaged, {other}) == 4);
  CHECK(n.tool.printed("1 new, 1 gone"));
}

TEST_CASE("a quiet run says nothing about a clean image, whatever is gone") {
  Nightly n;
  CHECK(n.audit(Verdict::damaged, {kBlocks}, {"--quiet"}) == 4);
  CHECK(n.tool.printed() == n.image.string() + ": damaged (1 error)\n");
  for (int i = 0; i < 2; ++i) {
    CHECK(n.audit(Verdict::clean, {}, {"--quiet"}) == 0);
    CHECK(n.tool.printed().empty());
    CHECK(n.tool.said().empty());
  }
}

TEST_CASE("JSON has new findings and those that are gone") {
  Nightly n;
  CHECK(n.audit(Verdict::damaged, {kBlocks}, {"--format=json"}) == 4);
  CHECK(n.report()["changes"].is_null());
  CHECK(n.report()["findings"][0]["new"].is_null());
  CHECK(n.audit(Verdict::damaged, {kLinks}, {"--format=json"}) == 4);
  const auto report = n.report();
  CHECK(report["findings"][0]["new"] == true);
  CHECK(report["changes"]["verdict"] == "damaged");
  CHECK(report["changes"]["new"] == 1);
  CHECK(report["changes"]["since"].get<std::string>().size() == 20);
  CHECK(report["changes"]["gone"][0]["code"] == "inode-blocks-count");
  CHECK(report["changes"]["gone"][0]["inode"] == 12);
}

TEST_CASE("a damaged state is a warning and no state") {
  const std::string damage = GENERATE(values<std::string>(
      {"", "{", "[]", "{\"schema\": 1}", "null", "\xff\xfe", R"({"schema": "extscrub-state/1", "verdict": "clean"})"}));
  CAPTURE(damage);
  Nightly n;
  CHECK(n.audit(Verdict::damaged, {kBlocks}) == 4);
  write_file(n.files().at(0), damage);
  CHECK(n.audit(Verdict::damaged, {kBlocks}) == 4);
  CHECK(n.tool.said("extscrub: warning: state "));
  CHECK_FALSE(n.tool.printed("since"));
  CHECK(n.audit(Verdict::damaged, {kBlocks}) == 4);
  CHECK(n.tool.said().empty());
  CHECK(n.tool.printed("nothing new"));
}

TEST_CASE("what is no regular file in the state is one line, and stays; the run goes on") {
  const std::string kind = GENERATE("a directory", "a FIFO", "a symbolic link");
  CAPTURE(kind);
  Nightly n;
  const fs::path other = write_file(n.directory.path() / "other", "precious");
  CHECK(n.audit(Verdict::damaged, {kBlocks}) == 4);
  const fs::path file = n.files().at(0);
  fs::remove(file);
  if (kind == "a directory") fs::create_directory(file);
  if (kind == "a FIFO") REQUIRE(::mkfifo(file.c_str(), 0600) == 0);
  if (kind == "a symbolic link") fs::create_symlink(other, file);
  CHECK(n.audit(Verdict::damaged, {kBlocks}) == 4);
  CHECK(n.tool.said() == "extscrub: warning: state " + file.string() + ": cannot read it: it is " + kind +
                             "; a regular file is needed. Remove it, or nothing is kept of " + n.image.string() + "\n");
  CHECK(n.tool.printed(": damaged (1 error)\n"));
  CHECK(n.files() == std::vector{file});
  CHECK(read_file(other) == "precious");
}

TEST_CASE("a state directory in which others may write is not used") {
  Nightly n;
  CHECK(n.audit(Verdict::damaged, {kBlocks}) == 4);
  const int mode = GENERATE(0770, 0702, 01777);
  REQUIRE(::chmod(n.state.c_str(), static_cast<mode_t>(mode)) == 0);
  CHECK(n.audit(Verdict::damaged, {kBlocks}) == 4);
  CHECK(n.tool.said() == "extscrub: warning: state " + n.state.string() +
                             ": others than its owner may write to it; mend that with `chmod go-w " + n.state.string() +
                             "`; nothing is kept\n");
  CHECK_FALSE(n.tool.printed("since"));
  REQUIRE(::chmod(n.state.c_str(), 0755) == 0);
  CHECK(n.audit(Verdict::damaged, {kBlocks}) == 4);
  CHECK(n.tool.said().empty());
  CHECK(n.tool.printed("nothing new"));
}

TEST_CASE("a state directory of another user is not used") {
  if (::geteuid() != 0) return;
  Nightly n;
  fs::create_directory(n.state);
  REQUIRE(::chown(n.state.c_str(), 12345, 12345) == 0);
  CHECK(n.audit(Verdict::damaged, {kBlocks}) == 4);
  CHECK(n.tool.said(n.state.string() + ": it belongs to user 12345"));
  CHECK(n.files().empty());
}

TEST_CASE("a state that cannot be kept is a warning") {
  Nightly n;
  write_file(n.state, "not a directory");
  CHECK(n.audit(Verdict::clean) == 0);
  CHECK(n.tool.said() ==
        "extscrub: warning: state " + n.state.string() + ": it is no directory that can be read and written; nothing is kept\n");
  CHECK(n.tool.printed() == n.image.string() + ": clean\n");
  n.state = n.directory.path() / "no" / "such";
  CHECK(n.audit(Verdict::clean) == 0);
  CHECK(n.tool.said(n.state.string() + ": cannot make it: No such file"));
}

TEST_CASE("another file system in the same place is begun anew") {
  Nightly n;
  CHECK(n.audit(Verdict::damaged, {kBlocks}) == 4);
  Audit other = audit_with(Verdict::damaged, {kLinks});
  other.info.uuid = "99999999-2222-3333-4444-555555555555";
  CHECK(n.audit(other) == 4);
  CHECK_FALSE(n.tool.printed("since"));
  CHECK(n.files().size() == 1);
}

TEST_CASE("an image that cannot be read for once keeps its findings") {
  Nightly n;
  CHECK(n.audit(Verdict::damaged, {kBlocks}) == 4);
  n.tool.environment.engine.audit = [](const Image&, Overlay*, const AuditOptions&) -> Result<Audit> {
    return std::unexpected(Error{"no cable"});
  };
  CHECK(n.run() == 8);
  CHECK(n.tool.printed() == n.image.string() + ": unreadable\n");
  CHECK(n.audit(Verdict::damaged, {kBlocks, kLinks}, {"--format=json"}) == 4);
  CHECK(n.report()["changes"]["verdict"] == "unreadable");
  CHECK(n.report()["changes"]["new"] == 1);
}

TEST_CASE("what was repaired is new when it comes back") {
  ImageReport report;
  report.verdict = Verdict::repaired;
  report.findings = {kBlocks, kLinks};
  report.findings[0].repair = RepairState::made;
  report.findings[1].repair = RepairState::left;
  const LastResult kept = result_of(report, nullptr, 1);
  REQUIRE(kept.findings.size() == 1);
  CHECK(kept.findings[0].problem == Problem::inode_links);
  const auto changes = changes_since(kept, report);
  REQUIRE(changes);
  CHECK(changes->is_new == std::vector{true, false});
}

TEST_CASE("what was past the limit in one of two runs is neither new nor gone") {
  const Finding early = at_inode(Problem::inode_blocks, 11), late = at_inode(Problem::inode_links, 20);
  ImageReport all, some;
  all.verdict = some.verdict = Verdict::damaged;
  all.findings = {early, kBlocks, kLinks, late};
  some.findings = {kBlocks, kLinks};
  some.past = {{Problem::inode_links, RepairState::none, 1}};
  const auto kept = parse_last_result(to_text(result_of(some, nullptr, 1)));
  REQUIRE(kept);
  CHECK(kept->has_more);
  CHECK(changes_since(*kept, all)->is_new == std::vector{true, false, false, false});
  const auto back = changes_since(result_of(all, nullptr, 1), some);
  CHECK(back->is_new == std::vector{false, false});
  REQUIRE(back->gone.size() == 1);
  CHECK(back->gone[0].inode == early.inode);
}

TEST_CASE("a result is stored with every part of a place, and read again") {
  Finding f = at_inode(Problem::inode_blocks, 12);
  f.block = BlockNo(uint64_t{1} << 40);
  f.block_count = 7;
  f.logical = 3;
  f.field = "i_blocks";
  LastResult result{
      "/a/\xff"
      "b",
      512,
      "uuid",
      1764212412,
      Verdict::errored,
      8,
      {f, finding(Problem::superblock_checksum)}};
  const auto read = parse_last_result(to_text(result));
  REQUIRE(read);
  CHECK(read->uuid == "uuid");
  CHECK(read->offset == 512);
  CHECK(read->time == 1764212412);
  CHECK(read->verdict == Verdict::errored);
  CHECK(read->exit_status == 8);
  CHECK(to_text(*read) == to_text(*parse_last_result(to_text(*read))));
  result.verdict = Verdict::not_audited;
  REQUIRE(parse_last_result(to_text(result)));
  CHECK(parse_last_result(to_text(result))->verdict == Verdict::not_audited);
  ImageReport report;
  report.verdict = Verdict::damaged;
  report.findings = {finding(Problem::superblock_checksum), f};
  const auto changes = changes_since(*read, report);
  REQUIRE(changes);
  CHECK(changes->is_new == std::vector{false, false});
  CHECK(changes->gone.empty());
}

TEST_CASE("nothing is kept of what could not be reported") {
  Nightly n;
  CHECK(n.audit(Verdict::damaged, {kBlocks}) == 4);
  n.tool.out.setstate(std::ios::badbit);
  CHECK(n.audit(Verdict::damaged, {kBlocks, kLinks}) == 12);
  n.tool.out.clear();
  CHECK(n.audit(Verdict::damaged, {kBlocks, kLinks}) == 4);
  CHECK(n.tool.printed("1 new"));
}

namespace {

// Three images, and a run that is stopped in the second.
struct Stopped : Nightly {
  std::vector<std::string> images{write_ext_like(directory.path() / "a"), write_ext_like(directory.path() / "b"),
                                  write_ext_like(directory.path() / "c")};
  std::vector<std::string> audited;
  std::string stop_at;

  Stopped() {
    tool.environment.engine.audit = [this](const Image& image, Overlay*, const AuditOptions&) -> Result<Audit> {
      audited.push_back(image.path().filename());
      if (audited.back() != stop_at) return audit_with(Verdict::clean);
      tool.stop = true;
      return std::unexpected(Error::cancelled());
    };
  }
  int run(std::string at = {}, std::vector<std::string> more = {"--resume"}) {
    audited.clear();
    tool.stop = false;
    stop_at = std::move(at);
    more.insert(more.begin(), {"audit", "--state", state});
    more.insert(more.end(), images.begin(), images.end());
    return tool(more);
  }
};

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("a stopped run goes on with the image it was at, and the next one begins anew") {
  Stopped s;
  CHECK(s.run("b") == 32);
  CHECK(s.audited == Names{"a", "b"});
  CHECK(s.run() == 0);
  CHECK(s.audited == Names{"b", "c"});
  CHECK(s.tool.said("1 of 3 images"));
  CHECK(s.run() == 0);
  CHECK(s.audited == Names{"a", "b", "c"});
  CHECK(s.tool.said().empty());
}

TEST_CASE("a run may be stopped more than once") {
  Stopped s;
  CHECK(s.run("b") == 32);
  CHECK(s.run("c") == 32);
  CHECK(s.audited == Names{"b", "c"});
  CHECK(s.run("", {"--resume", "--quiet"}) == 0);
  CHECK(s.audited == Names{"c"});
  CHECK(s.tool.said().empty());
}

TEST_CASE("an image that has changed since is done again") {
  Stopped s;
  CHECK(s.run("c") == 32);
  fs::resize_file(s.images[1], 131072);
  CHECK(s.run() == 0);
  CHECK(s.audited == Names{"b", "c"});
}

TEST_CASE("other images, or no --resume, are another run") {
  Stopped s;
  CHECK(s.run("c") == 32);
  CHECK(s.run("", {}) == 0);
  CHECK(s.audited == Names{"a", "b", "c"});
  std::swap(s.images[0], s.images[1]);
  CHECK(s.run() == 0);
  CHECK(s.audited == Names{"b", "a", "c"});
}

TEST_CASE("a link in place of the record of a stopped run is not followed: the run begins anew") {
  Stopped s;
  const fs::path other = write_file(s.directory.path() / "other", "precious");
  CHECK(s.run("c") == 32);
  for (const fs::path& file : s.files())
    if (file.filename().string().starts_with("run-")) {
      fs::remove(file);
      fs::create_symlink(other, file);
    }
  CHECK(s.run("c") == 32);
  CHECK(s.audited == Names{"a", "b", "c"});
  const std::string said = s.tool.said();
  CHECK(said.find("warning: state ") == said.rfind("warning: state "));
  CHECK(s.tool.said("it is a symbolic link"));
  CHECK(read_file(other) == "precious");
}

TEST_CASE("a damaged record of a stopped run is a warning, and the run begins anew") {
  Stopped s;
  CHECK(s.run("c") == 32);
  for (const fs::path& file : s.files())
    if (file.filename().string().starts_with("run-")) write_file(file, "{\"schema\":");
  CHECK(s.run() == 0);
  CHECK(s.tool.said("extscrub: warning: state "));
  CHECK(s.audited == Names{"a", "b", "c"});
}
