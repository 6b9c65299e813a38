#include <pugixml.hpp>

#include "cli/report/report.h"
#include "tests/cli/cli_support.h"
#include "tests/support/catch.h"

using namespace extscrub;
using namespace extscrub::test;

TEST_CASE("a pipeline sees each image as a test case", "[junit]") {
  const TempDir dir;
  const auto sound = write_ext_like(dir.path() / "sound.img"), damaged = write_ext_like(dir.path() / "<damaged>&\x01.img");
  Tool tool;
  tool.environment.engine.audit = [&](const Image& image, Overlay*, const AuditOptions&) -> Result<Audit> {
    return image.path() == sound ? audit_with(Verdict::clean)
                                 : audit_with(Verdict::damaged, {finding(Problem::block_bitmap_mismatch)});
  };
  CHECK(tool({"audit", "--format=junit", sound, damaged, dir.path() / "none"}) == 12);

  pugi::xml_document document;
  REQUIRE(document.load_string(tool.printed().c_str()));
  const pugi::xml_node suite = document.child("testsuites").child("testsuite");
  CHECK(suite.attribute("tests").as_int() == 3);
  CHECK(suite.attribute("failures").as_int() == 1);
  CHECK(suite.attribute("errors").as_int() == 1);
  pugi::xml_node test = suite.child("testcase");
  CHECK(test.attribute("name").value() == sound.string());
  CHECK(test.child("system-out").text().as_string() == sound.string() + ": clean\n");
  CHECK_FALSE(test.child("failure"));
  test = test.next_sibling("testcase");
  CHECK(test.attribute("name").value() == (dir.path() / "<damaged>&\\x01.img").string());
  CHECK(test.child("failure").attribute("type").value() == std::string("damaged"));
  CHECK(std::string(test.child("failure").text().as_string()).contains("block-bitmap-mismatch"));
  test = test.next_sibling("testcase");
  CHECK(std::string(test.child("error").attribute("message").value()).contains("No such file"));
}

TEST_CASE("a pipeline sees what needs no audit as skipped, and what should have had one as a failure", "[junit]") {
  ImageReport swap;
  swap.path = "disk.img";
  swap.partition = 1;
  swap.verdict = Verdict::not_audited;
  swap.not_audited = "holds swap space";
  ImageReport wiped = swap;
  wiped.partition = 2;
  wiped.not_audited = "holds nothing that is known";
  wiped.error = Error{wiped.not_audited};
  wiped.exit_status = 4;

  pugi::xml_document document;
  REQUIRE(document.load_string(junit_report({"audit", {swap, wiped}}).c_str()));
  const pugi::xml_node suite = document.child("testsuites").child("testsuite");
  CHECK(suite.attribute("skipped").as_int() == 1);
  CHECK(suite.attribute("failures").as_int() == 1);
  const pugi::xml_node test = suite.child("testcase");
  CHECK(test.child("skipped").attribute("message").value() == std::string("disk.img#p1: not-audited (holds swap space)"));
  CHECK(test.next_sibling().child("failure").attribute("type").value() == std::string("not-audited"));
}
