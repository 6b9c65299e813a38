// What a nightly job asks for: priorities, rates.

#include "tests/cli/cli_support.h"
#include "tests/support/catch.h"

using namespace extscrub;
using namespace extscrub::test;

TEST_CASE("the priority is lowered before the first image, and only when asked for") {
  TempDir directory;
  const auto image = write_ext_like(directory.path() / "disk.img");
  Tool tool;
  int lowered = 0, lowered_before = -1;
  tool.environment.engine.lower_priority = [&]() -> Result<void> { return ++lowered, Result<void>(); };
  tool.environment.engine.audit = [&](const Image&, Overlay*, const AuditOptions&) {
    lowered_before = lowered;
    return audit_with(Verdict::clean);
  };
  CHECK(tool({"audit", image}) == 0);
  CHECK(lowered == 0);
  CHECK(tool({"audit", "--nice", image, image}) == 0);
  CHECK(lowered == 1);
  CHECK(lowered_before == 1);
}

TEST_CASE("a priority that cannot be lowered is worth a warning") {
  TempDir directory;
  const auto image = write_ext_like(directory.path() / "disk.img");
  Tool tool;
  answer_audits_with(tool, audit_with(Verdict::clean));
  tool.environment.engine.lower_priority = []() -> Result<void> { return std::unexpected(Error{"it is forbidden"}); };
  CHECK(tool({"audit", "--nice", image}) == 0);
  CHECK(tool.said() == "extscrub: warning: it is forbidden\n");
  CHECK(tool.printed(": clean\n"));
}

TEST_CASE("a rate reaches the image that is read") {
  TempDir directory;
  const auto image = write_ext_like(directory.path() / "disk.img");
  Tool tool;
  std::chrono::duration<double> took{};
  tool.environment.engine.audit = [&](const Image& opened, Overlay*, const AuditOptions&) {
    std::vector<std::byte> bytes(32 << 10);
    const auto began = std::chrono::steady_clock::now();
    CHECK(opened.read(0, bytes));
    CHECK(opened.read(0, bytes));
    took = std::chrono::steady_clock::now() - began;
    return audit_with(Verdict::clean);
  };
  CHECK(tool({"audit", "--max-rate=128K", image}) == 0);
  CHECK(took.count() >= 0.2);
}
