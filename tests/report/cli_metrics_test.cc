
#include "cli/report/metrics.h"
#include "tests/cli/cli_support.h"
#include "tests/support/catch.h"

using namespace extscrub;
using namespace extscrub::test;

namespace {

using Time = std::chrono::system_clock::time_point;
constexpr Time kFirst{std::chrono::seconds{1'000'000}}, kSecond{std::chrono::seconds{2'000'000}};

ImageReport report_of(const std::string& path, Verdict verdict, int exit_status) {
  ImageReport image;
  image.path = path;
  image.verdict = verdict;
  image.exit_status = exit_status;
  return image;
}

bool has_line(const std::string& text, const std::string& line) { return ("\n" + text).contains("\n" + line + "\n"); }

}  // namespace

TEST_CASE("metrics of an image with errors", "[metrics]") {
  ImageReport image = report_of("a.img", Verdict::damaged, 4);
  image.findings = {finding(Problem::block_bitmap_mismatch), finding(Problem::block_bitmap_mismatch)};
  const std::string text = metrics_text({"audit", {image}}, "", kFirst);
  CHECK(has_line(text, R"(extscrub_last_run_timestamp_seconds{image="a.img"} 1000000)"));
  CHECK(has_line(text, R"(extscrub_verdict{image="a.img",verdict="damaged"} 1)"));
  CHECK(has_line(text, R"(extscrub_verdict{image="a.img",verdict="clean"} 0)"));
  CHECK(has_line(text, R"(extscrub_findings{image="a.img",severity="error"} 2)"));
  CHECK(has_line(text, R"(extscrub_exit_status{image="a.img"} 4)"));
  CHECK(has_line(text, "# TYPE extscrub_verdict gauge"));
  CHECK_FALSE(text.contains("last_success"));
}

TEST_CASE("metrics count the findings past the limit too", "[metrics]") {
  ImageReport image = report_of("a.img", Verdict::damaged, 4);
  image.findings = {finding(Problem::block_bitmap_mismatch)};
  image.past = {{Problem::block_bitmap_mismatch, RepairState::none, 7}};
  CHECK(has_line(metrics_text({"audit", {image}}, "", kFirst), R"(extscrub_findings{image="a.img",severity="error"} 8)"));
}

TEST_CASE("a last success outlives runs that are none, and an image those for others", "[metrics]") {
  const std::string first =
      metrics_text({"scrub", {report_of("a.img", Verdict::repaired, 1), report_of("b.img", Verdict::clean, 0)}}, "", kFirst);
  CHECK(has_line(first, R"(extscrub_last_success_timestamp_seconds{image="a.img"} 1000000)"));
  const std::string second = metrics_text({"scrub", {report_of("a.img", Verdict::errored, 8)}}, first, kSecond);
  CHECK(has_line(second, R"(extscrub_last_success_timestamp_seconds{image="a.img"} 1000000)"));
  CHECK(has_line(second, R"(extscrub_last_run_timestamp_seconds{image="a.img"} 2000000)"));
  CHECK(has_line(second, R"(extscrub_last_run_timestamp_seconds{image="b.img"} 1000000)"));
  CHECK(has_line(second, R"(extscrub_verdict{image="a.img",verdict="errored"} 1)"));
  CHECK(has_line(second, R"(extscrub_verdict{image="a.img",verdict="repaired"} 0)"));
  CHECK_FALSE(has_line(second, R"(extscrub_last_run_timestamp_seconds{image="a.img"} 1000000)"));
}

TEST_CASE("metrics tell how findings differ from those of the last run, where it is known", "[metrics]") {
  const auto has_changes = [](const std::string& text, int fresh, int known, int gone) {
    CAPTURE(text);
    const auto line = [](const char* change, int n) {
      return fmt::format("extscrub_changed_findings{{image=\"a.img\",change=\"{}\"}} {}", change, n);
    };
    CHECK(has_line(text, line("new", fresh)));
    CHECK(has_line(text, line("known", known)));
    CHECK(has_line(text, line("gone", gone)));
  };
  ImageReport image = report_of("a.img", Verdict::damaged, 4);
  image.findings = {at_inode(Problem::inode_blocks, 12), at_inode(Problem::inode_blocks, 13), at_inode(Problem::inode_links, 13)};
  CHECK_FALSE(metrics_text({"audit", {image}}, "", kFirst).contains("changed_findings"));
  image.changes = Changes{900'000, Verdict::damaged, {true, false, true}, {4, at_inode(Problem::inode_blocks, 14)}};
  const std::string first = metrics_text({"audit", {image}}, "", kFirst);
  has_changes(first, 2, 1, 4);
  CHECK(has_line(first, "# TYPE extscrub_changed_findings gauge"));

  ImageReport mended = report_of("a.img", Verdict::clean, 0);
  mended.changes = Changes{1'000'000, Verdict::damaged, {}, image.findings};
  has_changes(metrics_text({"audit", {mended}}, first, kSecond), 0, 0, 3);

  // What is not known any more does not stay.
  ImageReport swap = report_of("b.img", Verdict::not_audited, 0);
  const std::string skipped = metrics_text({"audit", {swap}}, "", kFirst);
  CHECK(skipped.contains("extscrub_verdict{image=\"b.img\",verdict=\"not-audited\"} 1"));
  CHECK_FALSE(skipped.contains("last_success"));

  ImageReport gone = report_of("a.img", Verdict::unreadable, 8);
  gone.changes = Changes{1'000'000, Verdict::damaged, {}, {}};
  CHECK_FALSE(metrics_text({"audit", {gone}}, first, kSecond).contains("changed_findings"));
}

TEST_CASE("metrics of a run with a state know the last one", "[metrics]") {
  const TempDir dir;
  const auto image = write_ext_like(dir.path() / "a.img");
  const std::string file = dir.path() / "extscrub.prom";
  Tool tool;
  const auto run = [&](const Audit& audit) {
    answer_audits_with(tool, audit);
    (void)tool({"audit", "--metrics", file, "--state", dir.path() / "state", image});
    return read_file(file);
  };
  CHECK_FALSE(run(audit_with(Verdict::damaged, {at_inode(Problem::inode_blocks, 12)})).contains("changed_findings"));
  const std::string text =
      run(audit_with(Verdict::damaged, {at_inode(Problem::inode_blocks, 12), at_inode(Problem::inode_links, 13)}));
  CAPTURE(text);
  CHECK(text.contains(R"(",change="new"} 1)"));
  CHECK(text.contains(R"(",change="known"} 1)"));
  CHECK(text.contains(R"(",change="gone"} 0)"));
}

TEST_CASE("an image's name with quotes and line ends stays one label", "[metrics]") {
  const std::string odd = "odd\"}\nname\\.img";
  const std::string first = metrics_text({"audit", {report_of(odd, Verdict::clean, 0)}}, "", kFirst);
  const std::string line = R"(extscrub_exit_status{image="odd\"}\\nname\\\\.img"} 0)";
  CHECK(has_line(first, line));
  CHECK(metrics_text({"audit", {report_of(odd, Verdict::clean, 0)}}, first, kFirst) == first);
}

TEST_CASE("metrics are in their file after a run, which must not be an image", "[metrics]") {
  const TempDir dir;
  const auto image = write_ext_like(dir.path() / "a.img");
  Tool tool;
  answer_audits_with(tool, audit_with(Verdict::clean));
  const std::string file = dir.path() / "extscrub.prom";
  CHECK(tool({"audit", "--metrics", file, image}) == 0);
  CHECK(read_file(file).contains("extscrub_exit_status{image=\"" + image.string() + "\"} 0\n"));
  CHECK(tool({"audit", "--metrics", image, image}) == 16);
  CHECK(tool({"audit", "--metrics", dir.path() / "none" / "x", image}) == 8);
}
