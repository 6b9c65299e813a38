#include <syslog.h>

#include "tests/cli/cli_support.h"
#include "tests/support/catch.h"

using namespace extscrub;
using namespace extscrub::test;

TEST_CASE("the system's log has a line an image, an error where errors are left") {
  const TempDir dir;
  const auto image = write_ext_like(dir.path() / "a.img");
  Tool tool;
  std::vector<std::pair<int, std::string>> lines;
  tool.environment.log = [&](int priority, const std::string& text) { lines.emplace_back(priority, text); };
  answer_audits_with(tool, audit_with(Verdict::clean));
  CHECK(tool({"audit", image}) == 0);
  CHECK(lines.empty());
  CHECK(tool({"audit", "--syslog", image}) == 0);
  answer_audits_with(tool, audit_with(Verdict::damaged, {finding(Problem::block_bitmap_mismatch)}));
  CHECK(tool({"audit", "--syslog", image}) == 4);
  REQUIRE(lines.size() == 2);
  CHECK(lines[0] == std::pair(LOG_NOTICE, image.string() + ": clean"));
  CHECK(lines[1] == std::pair(LOG_ERR, image.string() + ": damaged (1 error)"));
}
