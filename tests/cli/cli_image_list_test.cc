#include <sstream>

#include "cli/input/image_list.h"
#include "tests/cli/cli_support.h"
#include "tests/support/catch.h"

using namespace extscrub;
using namespace extscrub::test;

namespace {

using Names = std::vector<std::string>;

Names listed(const Options& options, const std::string& input = "") {
  std::istringstream in(input);
  const auto images = list_images(options, &in, nullptr);
  REQUIRE(images);
  return *images;
}

}  // namespace

TEST_CASE("images of the command line and of lists come in the order they are named", "[list]") {
  const TempDir dir;
  Options options;
  options.images = {"a", "-", "d"};
  options.files_from = write_file(dir.path() / "list", "e\n\nf");
  CHECK(listed(options, "b\nc\n") == Names{"a", "b", "c", "d", "e", "f"});
}

TEST_CASE("a name between NULs may have any other character", "[list]") {
  Options options;
  options.files_from = "-";
  options.null_separated = true;
  CHECK(listed(options, std::string("a\nb\0c", 5)) == Names{"a\nb", "c"});
}

TEST_CASE("a list that is empty or not there is no run without errors", "[list]") {
  Tool tool;
  std::istringstream empty;
  tool.environment.in = &empty;
  CHECK(tool({"audit", "-"}) == 16);
  CHECK(tool.said("the list names no image"));
  CHECK(tool({"audit", "--files-from", "/none/list"}) == 8);
  CHECK(tool({"audit"}) == 16);
  CHECK(tool({"scrub", "--undo-file", "u", "-"}) == 16);
}
