#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "cli/files/output_file.h"
#include "tests/cli/cli_support.h"
#include "tests/support/catch.h"

using namespace extscrub;
using namespace extscrub::test;
namespace fs = std::filesystem;

namespace {

size_t files_in(const fs::path& directory) { return static_cast<size_t>(std::distance(fs::directory_iterator(directory), {})); }

}  // namespace

TEST_CASE("a report has its name only when it is whole") {
  const TempDir directory;
  const fs::path path = write_file(directory.path() / "report", "old");
  auto file = OutputFile::create(path);
  REQUIRE(file);
  CHECK(read_file(path) == "old");
  REQUIRE(file->finish("new"));
  CHECK(read_file(path) == "new");
  CHECK(files_in(directory.path()) == 1);
}

TEST_CASE("a report that is given up leaves nothing behind") {
  const TempDir directory;
  {
    REQUIRE(OutputFile::create(directory.path() / "report"));
  }
  CHECK(files_in(directory.path()) == 0);
}

TEST_CASE("what a killed run has left is not in the way") {
  const TempDir directory;
  const fs::path path = directory.path() / "report";
  auto left = OutputFile::create(path), file = OutputFile::create(path);
  REQUIRE(left);
  REQUIRE(file);
  REQUIRE(file->finish("new"));
  CHECK(read_file(path) == "new");
}

TEST_CASE("a symbolic link to a report stays one") {
  const TempDir directory;
  write_file(directory.path() / "report", "old");
  fs::create_symlink("report", directory.path() / "link");
  auto file = OutputFile::create(directory.path() / "link");
  REQUIRE(file);
  REQUIRE(file->finish("new"));
  CHECK(fs::is_symlink(directory.path() / "link"));
  CHECK(read_file(directory.path() / "report") == "new");
}

TEST_CASE("a device is written to, not replaced") {
  auto file = OutputFile::create("/dev/null");
  REQUIRE(file);
  CHECK(file->finish("text"));
  CHECK(fs::is_character_file("/dev/null"));
}

TEST_CASE("a full disk is an error, and the old report stays") {
  auto file = OutputFile::create("/dev/full");
  REQUIRE(file);
  const auto done = file->finish("text");
  REQUIRE_FALSE(done);
  CHECK(text_of(done.error()).find("No space left on device") != std::string::npos);
}

TEST_CASE("a descriptor is written to from where it stands") {
  const TempDir directory;
  const fs::path path = write_file(directory.path() / "file", "before, and more than that");
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  REQUIRE(::lseek(fd, 8, SEEK_SET) == 8);
  struct stat before, after;
  REQUIRE(::fstat(fd, &before) == 0);
  auto file = OutputFile::create(fmt::format("/dev/fd/{}", fd));
  REQUIRE(file);
  REQUIRE(file->finish("new"));
  REQUIRE(::stat(path.c_str(), &after) == 0);
  CHECK(before.st_ino == after.st_ino);
  CHECK(read_file(path) == "before, new more than that");
  CHECK(::lseek(fd, 0, SEEK_CUR) == 11);
  ::close(fd);
  CHECK_FALSE(OutputFile::create(fmt::format("/dev/fd/{}", fd)));
}

TEST_CASE("a descriptor that is only for reading is refused before the work begins") {
  const TempDir directory;
  const int fd = ::open(write_file(directory.path() / "file", "old").c_str(), O_RDONLY | O_CLOEXEC);
  CHECK_FALSE(OutputFile::create(fmt::format("/proc/self/fd/{}", fd)));
  ::close(fd);
  CHECK(read_file(directory.path() / "file") == "old");
}

TEST_CASE("a FIFO takes a report only when somebody reads it") {
  const TempDir directory;
  const fs::path path = directory.path() / "fifo";
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  const auto nobody = OutputFile::create(path);
  REQUIRE_FALSE(nobody);
  CHECK(text_of(nobody.error()).starts_with("nobody reads from this FIFO"));
  const int reader = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  auto file = OutputFile::create(path);
  REQUIRE(file);
  CHECK(file->finish("text"));
  char text[8];
  CHECK(::read(reader, text, sizeof text) == 4);
  ::close(reader);
  CHECK(fs::is_fifo(path));
}

TEST_CASE("metrics go to no FIFO, and no image is looked at") {
  const TempDir directory;
  const fs::path path = directory.path() / "fifo";
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  Tool tool;
  CHECK(tool({"audit", "--metrics", path, write_ext_like(directory.path() / "disk.img")}) == 8);
  CHECK(tool.said() == "extscrub: " + path.string() + ": it cannot be written: it is a FIFO; give another file\n");
  CHECK(tool.printed().empty());
}

TEST_CASE("the report of a run goes to the file and not to standard output") {
  const TempDir directory;
  const fs::path image = write_ext_like(directory.path() / "disk.img");
  const fs::path report = directory.path() / "report";
  Tool tool;
  answer_audits_with(tool, audit_with(Verdict::clean));
  CHECK(tool({"audit", "--output", report, image, image}) == 0);
  CHECK(tool.printed().empty());
  CHECK(read_file(report) == image.string() + ": clean\n" + image.string() + ": clean\n");
  CHECK(tool({"audit", "--format=json", "--output", report, image}) == 0);
  CHECK(nlohmann::json::parse(read_file(report))["images"].size() == 1);
}

TEST_CASE("a report can be written nowhere: no image is looked at") {
  const TempDir directory;
  const fs::path image = write_ext_like(directory.path() / "disk.img");
  Tool tool;
  bool audited = false;
  tool.environment.engine.audit = [&](const Image&, Overlay*, const AuditOptions&) {
    audited = true;
    return audit_with(Verdict::clean);
  };
  CHECK(tool({"audit", "--output", "/nonexistent/report", image}) == 8);
  CHECK(tool.said("extscrub: /nonexistent/report: "));
  CHECK(tool({"audit", "--output", directory.path(), image}) == 8);
  CHECK_FALSE(audited);
}

TEST_CASE("a report cannot replace an image, by any of its names") {
  const TempDir directory;
  const fs::path image = write_ext_like(directory.path() / "disk.img");
  const std::string bytes = read_file(image);
  fs::create_symlink(image, directory.path() / "link");
  Tool tool;
  answer_audits_with(tool, audit_with(Verdict::clean));
  CHECK(tool({"audit", "--output", image, image}) == 16);
  CHECK(tool({"audit", "--output", directory.path() / "link", image}) == 16);
  CHECK(read_file(image) == bytes);
}
