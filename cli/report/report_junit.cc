// JUnit's XML, as build pipelines show it: one suite, a test case an image.
#include <fmt/format.h>

#include <algorithm>
#include <pugixml.hpp>
#include <sstream>

#include "cli/process/exit_status.h"
#include "cli/report/report.h"
#include "cli/text/escape.h"

namespace extscrub {

namespace {

// A failure is for who made the image, an error for who runs the pipeline.
const char* outcome_of(const ImageReport& image) {
  if ((image.exit_status & (kExitOperational | kExitCancelled)) != 0) return "error";
  if ((image.exit_status & kExitErrorsLeft) != 0) return "failure";
  return image.verdict == Verdict::not_audited ? "skipped" : nullptr;
}

void add_case(pugi::xml_node& suite, const ImageReport& image, const std::string& command) {
  pugi::xml_node test = suite.append_child("testcase");
  test.append_attribute("name") = escape(name_of(image)).c_str();
  test.append_attribute("classname") = fmt::format("extscrub.{}", command).c_str();
  test.append_attribute("time") = fmt::format("{:.3f}", image.timings.total.count()).c_str();
  const std::string report = text_report(image, {});
  const char* outcome = outcome_of(image);
  if (outcome == nullptr) {
    test.append_child("system-out").text() = report.c_str();
  } else if (outcome == std::string_view("skipped")) {
    test.append_child(outcome).append_attribute("message") = verdict_line(image).c_str();
  } else {
    pugi::xml_node what = test.append_child(outcome);
    what.append_attribute("type") = image.verdict ? std::string(name(*image.verdict)).c_str() : "none";
    what.append_attribute("message") = (image.error ? escape(text_of(*image.error)) : verdict_line(image)).c_str();
    what.text() = report.c_str();
  }
}

}  // namespace

std::string junit_report(const RunReport& run) {
  const auto count = [&](std::string_view outcome) {
    return std::ranges::count_if(run.images, [&](const ImageReport& image) {
      const char* is = outcome_of(image);
      return is != nullptr && is == outcome;
    });
  };
  Seconds seconds{};
  for (const ImageReport& image : run.images) seconds += image.timings.total;

  pugi::xml_document document;
  pugi::xml_node declaration = document.append_child(pugi::node_declaration);
  declaration.append_attribute("version") = "1.0";
  declaration.append_attribute("encoding") = "UTF-8";
  pugi::xml_node suite = document.append_child("testsuites").append_child("testsuite");
  suite.append_attribute("name") = fmt::format("extscrub {}", run.command).c_str();
  suite.append_attribute("tests") = run.images.size();
  suite.append_attribute("failures") = count("failure");
  suite.append_attribute("errors") = count("error");
  suite.append_attribute("skipped") = count("skipped");
  suite.append_attribute("time") = fmt::format("{:.3f}", seconds.count()).c_str();
  for (const ImageReport& image : run.images) add_case(suite, image, run.command);
  std::ostringstream text;
  document.save(text, "  ");
  return text.str();
}

}  // namespace extscrub
