#include <catch2/catch.hpp>

#include "cli/metrics.h"
#include "tests/cli_support.h"

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
